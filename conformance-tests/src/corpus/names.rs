//! Names of images that stand in for others, and Dockerfiles rewritten to use them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use boxwright_core::{Error, ErrorKind, ImageRef, Result};
use boxwright_dockerfile::Dockerfile;
use boxwright_dockerfile::diagnostic::Span;
use boxwright_dockerfile::instruction::Action;
use boxwright_dockerfile::plan::{Options, Plan, Source, StageId};

/// Which name stands in for which: by the longest beginning of a full name without tag and digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameMap(BTreeMap<String, String>);

impl NameMap {
    /// Reads pairs as `FROM=TO`. `FROM` is a repository, or what repositories begin with up to a slash. If `TO` has a
    /// tag, it is the whole new name; else the rest of the name and its tag are put behind it. Digests are left out,
    /// since no stand-in can have them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when a pair is none.
    pub fn parse<'p>(pairs: impl IntoIterator<Item = &'p str>) -> Result<Self> {
        let mut map = BTreeMap::new();
        for pair in pairs {
            let Some((from, to)) =
                pair.split_once('=').filter(|(from, to)| !from.is_empty() && !to.is_empty())
            else {
                let error = Error::new(ErrorKind::InvalidInput, format!("`{pair}` maps no name"));
                return Err(error.with_remedy(
                    "write it as FROM=TO, such as `docker.io/library=localhost:5000/library`",
                ));
            };
            map.insert(from.trim_end_matches('/').to_owned(), to.trim_end_matches('/').to_owned());
        }
        Ok(Self(map))
    }

    /// Returns the name that stands in for `name`, if one does.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<String> {
        let image: ImageRef = name.parse().ok()?;
        let full = image.name();
        let mut parts = full.as_str();
        loop {
            if let Some(to) = self.0.get(parts) {
                let rest = &full[parts.len()..];
                let has_tag = to.rsplit('/').next().is_some_and(|last| last.contains(':'));
                // A host alone may have a port, which is no tag.
                return Some(if has_tag && to.contains('/') {
                    to.clone()
                } else {
                    format!("{to}{rest}:{}", image.tag().unwrap_or("latest"))
                });
            }
            parts = &parts[..parts.rfind('/')?];
        }
    }

    /// Rewrites the names of images in a Dockerfile. Of one that is wrong only the plain names after `FROM` are: its builder
    /// is to say why, and not that an image is missing. Names of further contexts in `options` are not names of images.
    #[must_use]
    pub fn rewrite(&self, text: &str, options: &Options) -> String {
        let (Ok(file), Ok(plan)) = (Dockerfile::parse(text), Plan::new(text, options.clone()))
        else {
            return self.rewrite_plain(text, options);
        };
        let stages: BTreeSet<&str> = file
            .stages
            .iter()
            .filter_map(|it| it.from.name.as_ref())
            .map(|it| it.text.as_str())
            .collect();
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        // Both `--from=NAME` and the `from=NAME` of a mount are known by the flag that they are in.
        let mut other = |flag: Span, name: &str| {
            let is_stage = stages.contains(name.to_lowercase().as_str())
                || name.bytes().all(|byte| byte.is_ascii_digit())
                || options.contexts.contains(name);
            let found =
                text.get(flag.start..flag.end).and_then(|it| it.find(&format!("from={name}")));
            if let (false, Some(found), Some(to)) = (is_stage, found, self.map(name)) {
                let start = flag.start + found + "from=".len();
                changes.push((start..start + name.len(), to));
            }
        };
        for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
            match &instruction.action {
                Action::Copy(copy) => {
                    copy.from.iter().for_each(|from| other(from.span, &from.text));
                }
                Action::Run(run) => {
                    for option in run.mounts.iter().flat_map(|(_, options)| options) {
                        if let ("from", Some(name)) = (option.key.as_str(), &option.value) {
                            other(option.span, name);
                        }
                    }
                }
                _ => {}
            }
        }
        for (number, stage) in file.stages.iter().enumerate() {
            let base = plan.stage(StageId(number)).map(|it| &it.base);
            if let Some(Source::Image(name)) = base
                && let Some(to) = self.map(name)
            {
                changes.push((stage.from.image.span.start..stage.from.image.span.end, to));
            }
        }
        changes.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
        let mut text = text.to_owned();
        for (range, to) in changes {
            if text.get(range.clone()).is_some() {
                text.replace_range(range, &to);
            }
        }
        text
    }

    /// Rewrites names that have no variables, in lines that begin with `FROM`.
    fn rewrite_plain(&self, text: &str, options: &Options) -> String {
        let mut stages: BTreeSet<String> = options.contexts.clone();
        let mut lines = Vec::new();
        for line in text.split('\n') {
            let mut words = line.split_whitespace();
            let is_from = words.next().is_some_and(|word| word.eq_ignore_ascii_case("FROM"));
            let name = words.find(|word| !word.starts_with("--")).filter(|_| is_from);
            let to = name.filter(|name| !stages.contains(&name.to_lowercase()));
            let to = to.and_then(|name| Some((name, self.map(name)?)));
            lines.push(match to {
                Some((name, to)) => line.replacen(name, &to, 1),
                None => line.to_owned(),
            });
            stages.extend(words.nth(1).filter(|_| is_from).map(str::to_lowercase));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> NameMap {
        NameMap::parse([
            "docker.io/library/base=localhost:5/stand-in/base:1",
            "docker.io=localhost:5/absent",
            "quay.io=localhost:6",
        ])
        .unwrap()
    }

    #[test]
    fn the_longest_beginning_wins_and_digests_are_left_out() {
        let names = names();
        let digest = format!("base@sha256:{}", "0".repeat(64));
        for name in ["base", "base:3", "docker.io/library/base", digest.as_str()] {
            assert_eq!(names.map(name).as_deref(), Some("localhost:5/stand-in/base:1"), "{name}");
        }
        assert_eq!(names.map("other:2").as_deref(), Some("localhost:5/absent/library/other:2"));
        assert_eq!(names.map("quay.io/a/b").as_deref(), Some("localhost:6/a/b:latest"));
        assert_eq!(names.map("localhost/base"), None);
        for wrong in ["base", "=x", "x="] {
            assert_eq!(NameMap::parse([wrong]).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn names_are_rewritten_wherever_an_image_is_meant() {
        let text = "ARG kind=se\nFROM --platform=linux/amd64 ba$kind AS base\nFROM scratch\n\
            RUN --mount=from=base,target=/a --mount=type=bind,from=quay.io/x,target=/b true\n\
            COPY --from=base /base /\nCOPY --from=base:3 /base /\nCOPY --from=0 / /\n";
        let wanted = "ARG kind=se\nFROM --platform=linux/amd64 localhost:5/stand-in/base:1 AS base\nFROM scratch\n\
            RUN --mount=from=base,target=/a --mount=type=bind,from=localhost:6/x:latest,target=/b true\n\
            COPY --from=base /base /\nCOPY --from=localhost:5/stand-in/base:1 /base /\nCOPY --from=0 / /\n";
        assert_eq!(names().rewrite(text, &Options::default()), wanted);
    }

    #[test]
    fn a_further_context_stays_and_of_a_broken_file_plain_names_change() {
        let options = Options { contexts: ["base".to_owned()].into(), ..Options::default() };
        let text = "FROM base\nCOPY --from=base / /\n";
        assert_eq!(names().rewrite(text, &options), text);
        let broken = "FROM base AS one\nCOPPY a b\nfrom --platform=linux/amd64 quay.io/b\nFROM One\nFROM $x\n";
        let wanted = "FROM localhost:5/stand-in/base:1 AS one\nCOPPY a b\n\
            from --platform=linux/amd64 localhost:6/b:latest\nFROM One\nFROM $x\n";
        assert_eq!(names().rewrite(broken, &Options::default()), wanted);
    }
}
