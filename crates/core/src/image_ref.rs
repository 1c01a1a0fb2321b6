//! A parsed, fully qualified image reference, and what else can name a local image.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind};

/// The registry that a short name belongs to.
pub const DOCKER_HUB: &str = "docker.io";

/// A parsed, fully qualified image reference.
///
/// Short names are expanded while parsing (`alpine` becomes
/// `docker.io/library/alpine:latest`), so equal references are equal values and
/// no engine applies a default registry of its own.
/// Source: the grammar of `distribution/reference`, as Docker and Podman use it.
///
/// ```
/// use boxwright_core::ImageRef;
///
/// let image: ImageRef = "ghcr.io/acme/api:1.4".parse()?;
/// assert_eq!((image.registry(), image.repository()), ("ghcr.io", "acme/api"));
/// assert_eq!("alpine".parse::<ImageRef>()?.to_string(), "docker.io/library/alpine:latest");
/// # Ok::<(), boxwright_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// Returns the registry's host, with its port if one was given, e.g. `localhost:5000`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the path below the registry, e.g. `library/alpine`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag. It is absent only when a digest was given without one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the manifest digest that was given.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns registry and repository, without tag and digest.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns what a registry finds the manifest by: the digest, else the tag.
    #[must_use]
    pub fn manifest_name(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    /// Returns the same repository at `digest`, without a tag.
    #[must_use]
    pub fn at_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

impl FromStr for ImageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|cause| {
            let error =
                Error::new(ErrorKind::InvalidInput, format!("`{text}` is not an image reference"));
            let error = error.with_cause(cause);
            match text.split_once("://") {
                Some((_, rest)) => error.with_remedy(format!("leave the scheme out: `{rest}`")),
                None if text != text.to_ascii_lowercase()
                    && parse(&text.to_ascii_lowercase()).is_ok() =>
                {
                    error.with_remedy(format!(
                        "write it in lower case: `{}`",
                        text.to_ascii_lowercase()
                    ))
                }
                None => error
                    .with_remedy("write it as HOST/REPOSITORY:TAG, such as `ghcr.io/acme/api:1.4`"),
            }
        })
    }
}

fn parse(text: &str) -> Result<ImageRef, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.contains("://") {
        return Err("it begins with a scheme".into());
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            let digest = digest.parse::<Digest>().map_err(|error| error.to_string())?;
            (rest, Some(digest))
        }
        None => (text, None),
    };
    // A colon after the last slash starts the tag; one before it, the registry's port.
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    let (registry, repository) = match path.split_once('/') {
        Some((first, repository)) if is_host(first) => (first, repository.to_owned()),
        Some(_) => (DOCKER_HUB, path.to_owned()),
        None => (DOCKER_HUB, format!("library/{path}")),
    };
    // Docker Hub's older name is the same registry.
    let (registry, repository) = match (registry, repository) {
        ("index.docker.io" | "docker.io", repository) if !repository.contains('/') => {
            (DOCKER_HUB, format!("library/{repository}"))
        }
        ("index.docker.io", repository) => (DOCKER_HUB, repository),
        other => other,
    };
    check_host(registry)?;
    check_repository(&repository)?;
    tag.map_or(Ok(()), check_tag)?;
    if registry.len() + 1 + repository.len() > 255 {
        return Err("registry and repository are longer than 255 characters".into());
    }
    let tag = match (tag, &digest) {
        (Some(tag), _) => Some(tag.to_owned()),
        (None, None) => Some("latest".to_owned()),
        (None, Some(_)) => None,
    };
    Ok(ImageRef { registry: registry.to_owned(), repository, tag, digest })
}

// SPEC: `distribution/reference`: the first component is a host if it has a `.` or a `:`, is
// `localhost`, or has upper-case letters (which no repository may have).
fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first != first.to_ascii_lowercase()
}

fn check_host(host: &str) -> Result<(), String> {
    let wrong = || format!("`{host}` is not a registry host");
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or_else(wrong)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            match after {
                "" => return Ok(()),
                _ => ("v6", after.strip_prefix(':').ok_or_else(wrong)?),
            }
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, port),
            None => (host, "0"),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !name.split('.').all(label) {
        return Err(wrong());
    }
    port.parse::<u16>().map_err(|_| format!("`{port}` is not a port"))?;
    Ok(())
}

// SPEC: path components are `[a-z0-9]+` joined by `.`, `_`, `__`, or any number of `-`.
fn check_repository(repository: &str) -> Result<(), String> {
    for component in repository.split('/') {
        let bytes = component.as_bytes();
        let word = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let ends = bytes.first().is_some_and(word) && bytes.last().is_some_and(word);
        let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let joined = separators
            .filter(|s| !s.is_empty())
            .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'));
        if component.is_empty() {
            return Err("its path has an empty component".into());
        }
        if !ends || !joined {
            return Err(format!(
                "`{component}` is not a path component: lower-case letters and digits, joined by `.`, `_`, `__` or `-`"
            ));
        }
    }
    Ok(())
}

// SPEC: a tag is `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
fn check_tag(tag: &str) -> Result<(), String> {
    let first = tag.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let rest = tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if first && rest && tag.len() <= 128 {
        return Ok(());
    }
    Err(format!(
        "`{tag}` is not a tag: up to 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`"
    ))
}

impl TryFrom<String> for ImageRef {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(reference: ImageRef) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// What a user may call a local image by: a reference, a whole id, or the beginning of an id.
///
/// Twelve or more hexadecimal digits are taken for an id, as `docker` shows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LocalImage {
    /// A name.
    Reference(ImageRef),
    /// The config digest.
    Id(Digest),
    /// The first 12 to 63 digits of the config digest.
    IdPrefix(String),
}

impl FromStr for LocalImage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let hex = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match digits.len() {
            64 if hex => Ok(Self::Id(format!("sha256:{digits}").parse()?)),
            12..64 if hex => Ok(Self::IdPrefix(digits.to_owned())),
            _ => Ok(Self::Reference(text.parse()?)),
        }
    }
}

impl TryFrom<String> for LocalImage {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<LocalImage> for String {
    fn from(image: LocalImage) -> Self {
        image.to_string()
    }
}

impl From<ImageRef> for LocalImage {
    fn from(reference: ImageRef) -> Self {
        Self::Reference(reference)
    }
}

impl From<Digest> for LocalImage {
    fn from(id: Digest) -> Self {
        Self::Id(id)
    }
}

impl fmt::Display for LocalImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => reference.fmt(f),
            Self::Id(id) => id.fmt(f),
            Self::IdPrefix(prefix) => f.write_str(prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<ImageRef>().unwrap().to_string()
    }

    #[test]
    fn short_names_are_expanded() {
        assert_eq!(shown("alpine"), "docker.io/library/alpine:latest");
        assert_eq!(shown("acme/api"), "docker.io/acme/api:latest");
        assert_eq!(shown("docker.io/alpine:3"), "docker.io/library/alpine:3");
        assert_eq!(shown("index.docker.io/acme/api:3"), "docker.io/acme/api:3");
        assert_eq!(shown("localhost/api"), "localhost/api:latest");
        assert_eq!(shown("localhost:5000/a/b/c__d:1.0_x"), "localhost:5000/a/b/c__d:1.0_x");
        assert_eq!(shown("[::1]:5000/api"), "[::1]:5000/api:latest");
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(
            shown(&format!("alpine@{digest}")),
            format!("docker.io/library/alpine@{digest}")
        );
        assert_eq!(shown(&format!("a.b/c:1@{digest}")), format!("a.b/c:1@{digest}"));
    }

    #[test]
    fn what_could_be_an_option_or_a_path_is_refused_threat_23() {
        for bad in [
            "-t",
            "--help",
            "a/-b",
            "a b",
            "a:b c",
            "",
            ":",
            "a:",
            "a//b",
            "/a",
            "a/",
            "../a",
            "A",
            "a/B",
            "a:-x",
            "a:.x",
            "https://ghcr.io/a",
            "a@sha256:0",
            "host:99999/a",
            "host:x/a",
            "a_._b",
            "a,b",
            "é",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_say_what_to_write() {
        let error = "https://ghcr.io/acme/api".parse::<ImageRef>().unwrap_err();
        assert_eq!(error.remedy(), Some("leave the scheme out: `ghcr.io/acme/api`"));
        let error = "acme/Api:1".parse::<ImageRef>().unwrap_err();
        assert_eq!(error.remedy(), Some("write it in lower case: `acme/api:1`"));
    }

    #[test]
    fn twelve_digits_are_an_id() {
        assert!(matches!("0123456789ab".parse(), Ok(LocalImage::IdPrefix(_))));
        assert!(matches!("cafe".parse(), Ok(LocalImage::Reference(_))));
        let id = "f".repeat(64);
        assert!(matches!(id.parse(), Ok(LocalImage::Id(_))));
        assert!(matches!(format!("sha256:{id}").parse(), Ok(LocalImage::Id(_))));
    }
}
