//! What a step asks of a build, in BuildKit's names, and as a request.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use boxwright_core::{BuildRequest, CacheUse, NamedContext};

use super::names::NameMap;
use crate::case::{CaseResult, Failure};

/// What can be asked by `frontend_attrs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    BuildArg(String, String),
    Label(String, String),
    NoCache,
    Platform(String),
    ShmSize(u64),
    Target(String),
    /// What is asked for in a way that no request can say, and what to do instead.
    Refused(&'static str, &'static str),
    /// A further context, and where it is.
    Context(String, String),
}

impl Attribute {
    pub(super) fn read(name: &str, value: &str) -> CaseResult<Self> {
        let value = value.to_owned();
        Ok(match name.split_once(':').map_or((name, None), |(kind, of)| (kind, Some(of))) {
            ("build-arg", Some(of)) => Self::BuildArg(of.to_owned(), value),
            ("label", Some(of)) => Self::Label(of.to_owned(), value),
            ("context", Some(of)) => Self::Context(of.to_owned(), value),
            ("no-cache", None) if value.is_empty() => Self::NoCache,
            ("no-cache", None) => Self::Refused(
                "no request leaves single stages out of the cache",
                "build without the cache",
            ),
            ("platform", None) => Self::Platform(value),
            ("target", None) => Self::Target(value),
            ("shm-size", None) => Self::ShmSize(
                value
                    .parse()
                    .map_err(|_| Failure::harness(format!("`{value}` is no number of bytes")))?,
            ),
            ("cache-from", None) => Self::Refused(
                "what it takes the cache from is exported by `cache_to`, which no request has",
                "leave it out",
            ),
            ("hostname", None) => {
                Self::Refused("no request sets a host name for RUN", "leave it out")
            }
            ("ulimit" | "memory", None) => {
                Self::Refused("no request limits what RUN may use", "use `ulimit` in the RUN")
            }
            _ => return Err(Failure::harness(format!("`{name}` is an unknown attribute"))),
        })
    }

    /// Puts it into a request.
    pub(super) fn apply(&self, request: &mut BuildRequest) -> CaseResult {
        match self.clone() {
            Self::BuildArg(name, value) => drop(request.build_args.insert(name, value)),
            Self::Label(name, value) => drop(request.labels.insert(name, value)),
            Self::NoCache => request.cache = CacheUse::Ignore,
            Self::Platform(text) => {
                let platform = text.parse();
                request.platforms = vec![platform.map_err(|error| {
                    Failure::harness(format!("`{text}` is no platform: {error}"))
                })?];
            }
            Self::Target(stage) => request.target = Some(stage),
            Self::ShmSize(bytes) => request.shm_size = Some(bytes),
            Self::Refused(reason, remedy) => {
                let (reason, remedy) = (reason.to_owned(), remedy.to_owned());
                return Err(Failure::Refused { reason, remedy });
            }
            // It needs what only the step knows: `named`.
            Self::Context(..) => {}
        }
        Ok(())
    }
}

/// Returns the names of further contexts.
pub(super) fn contexts(attributes: &[Attribute]) -> BTreeSet<String> {
    let names = attributes.iter().filter_map(|attribute| match attribute {
        Attribute::Context(name, _) => Some(name.clone()),
        _ => None,
    });
    names.collect()
}

/// Returns the further context that `value` says: an image, by the name that stands in for it, or one of `folders`.
pub(super) fn named(
    value: &str,
    names: &NameMap,
    folders: &BTreeMap<String, PathBuf>,
) -> CaseResult<NamedContext> {
    if let Some(image) = value.strip_prefix("docker-image://") {
        let image = names.map(image).unwrap_or_else(|| image.to_owned());
        let image = image.parse();
        return Ok(NamedContext::Image(
            image
                .map_err(|error| Failure::harness(format!("`{value}` names no image: {error}")))?,
        ));
    }
    let folder = value.strip_prefix("local:").and_then(|name| folders.get(name));
    match folder {
        Some(folder) => Ok(NamedContext::Folder(folder.clone())),
        None => Err(Failure::harness(format!("`{value}` is no context that is known"))),
    }
}

/// Returns the build arguments among the attributes.
pub(super) fn build_args(attributes: &[Attribute]) -> BTreeMap<String, String> {
    let all = attributes.iter().filter_map(|attribute| match attribute {
        Attribute::BuildArg(name, value) => Some((name.clone(), value.clone())),
        _ => None,
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::ContextSource;

    #[test]
    fn attributes_become_fields_of_the_request() {
        let mut request = BuildRequest::new(ContextSource::Empty);
        for (name, value) in
            [("build-arg:A", "1"), ("label:b", "2"), ("no-cache", ""), ("target", "t")]
        {
            Attribute::read(name, value).unwrap().apply(&mut request).unwrap();
        }
        assert_eq!(request.build_args["A"], "1");
        assert_eq!(request.labels["b"], "2");
        assert_eq!((request.cache, request.target.as_deref()), (CacheUse::Ignore, Some("t")));
    }

    #[test]
    fn what_no_request_says_is_refused_and_what_nobody_knows_is_noticed() {
        let mut request = BuildRequest::new(ContextSource::Empty);
        let refused = Attribute::read("hostname", "x").unwrap().apply(&mut request);
        assert!(matches!(refused, Err(Failure::Refused { .. })));
        let refused = Attribute::read("no-cache", "s1").unwrap().apply(&mut request);
        assert!(matches!(refused, Err(Failure::Refused { .. })));
        assert!(matches!(Attribute::read("cgroup-parent", "x"), Err(Failure::Harness(_))));
    }

    #[test]
    fn a_further_context_is_an_image_by_its_stand_in_or_a_folder() {
        let names = NameMap::parse(["docker.io/library/base=localhost:5/base:1"]).unwrap();
        let folders = BTreeMap::from([("files".to_owned(), PathBuf::from("/f"))]);
        let named = |value| named(value, &names, &folders);
        let image = NamedContext::Image("localhost:5/base:1".parse().unwrap());
        assert_eq!(named("docker-image://base:3").unwrap(), image);
        assert_eq!(named("local:files").unwrap(), NamedContext::Folder("/f".into()));
        assert!(matches!(named("local:none"), Err(Failure::Harness(_))));
        assert!(matches!(named("input:base"), Err(Failure::Harness(_))));
    }
}
