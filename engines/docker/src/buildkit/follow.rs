//! Which paths of a context a build really reads.
//!
//! The daemon names the sources of `COPY` and `ADD` as *follow paths*: patterns whose symbolic links are
//! to be followed inside the context, so that the targets come along. Source: fsutil, `followlinks.go`.

use std::collections::BTreeSet;

use boxwright_context::ignore::Rules;

/// A context, as far as following links needs it.
pub(super) trait Links {
    /// Returns where the symbolic link at `path` points, or `None` if there is no link.
    fn link(&self, path: &str) -> Option<String>;
    /// Returns the names in the folder at `path`; none if there is no folder.
    fn names(&self, path: &str) -> Vec<String>;
}

/// How many links are followed at most, so that a loop ends.
const MOST_LINKS: usize = 255;

/// Returns the patterns that cover `paths` and all that their links lead to. Empty means everything.
pub(super) fn follow(context: &impl Links, paths: &[String]) -> Vec<String> {
    let mut resolver = Resolver { context, resolved: BTreeSet::new(), links: 0 };
    for path in paths {
        resolver.add(path);
    }
    if resolver.resolved.contains("") {
        return Vec::new();
    }
    resolver.resolved.into_iter().collect()
}

struct Resolver<'a, C> {
    context: &'a C,
    resolved: BTreeSet<String>,
    links: usize,
}

impl<C: Links> Resolver<'_, C> {
    fn add(&mut self, path: &str) {
        let path = clean(path);
        let mut current = String::new();
        let mut rest = path.split('/').filter(|part| !part.is_empty());
        while let Some(part) = rest.next() {
            let targets = self.targets(&current, part);
            current = join(&current, part);
            if targets.is_empty() {
                continue;
            }
            if !self.resolved.insert(current.clone()) || self.links >= MOST_LINKS {
                return;
            }
            self.links += 1;
            let rest: Vec<&str> = rest.collect();
            for target in targets {
                self.add(&join(&target, &rest.join("/")));
            }
            return;
        }
        self.resolved.insert(current);
    }

    /// Returns where the links lead that `part` matches in `folder`.
    fn targets(&self, folder: &str, part: &str) -> Vec<String> {
        let names = if has_wildcard(part) {
            // A pattern that cannot be understood leads nowhere; the daemon says what is wrong with it.
            let rules = Rules::new(&[part]).ok();
            let matching = |name: &String| rules.as_ref().is_some_and(|rules| rules.excludes(name));
            self.context.names(folder).into_iter().filter(matching).collect()
        } else {
            vec![part.to_owned()]
        };
        let links = names.iter().filter_map(|name| self.context.link(&join(folder, name)));
        // An absolute target is seen from the root of the context.
        links
            .map(
                |link| {
                    if link.starts_with('/') { clean(&link) } else { clean(&join(folder, &link)) }
                },
            )
            .collect()
    }
}

fn has_wildcard(part: &str) -> bool {
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

fn join(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", name) => name.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, name) => format!("{folder}/{name}"),
    }
}

/// Returns `path` without `.`, `..` and empty components; it never leaves the root.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Tree(BTreeMap<&'static str, Option<&'static str>>);

    impl Links for Tree {
        fn link(&self, path: &str) -> Option<String> {
            self.0.get(path).copied().flatten().map(str::to_owned)
        }
        fn names(&self, path: &str) -> Vec<String> {
            let below = |name: &&str| {
                name.strip_prefix(path).map(|rest| rest.trim_start_matches('/').to_owned())
            };
            self.0
                .keys()
                .filter_map(below)
                .filter(|name| !name.is_empty() && !name.contains('/'))
                .collect()
        }
    }

    fn followed(paths: &[&str]) -> Vec<String> {
        let tree = Tree(BTreeMap::from([
            ("src", None),
            ("src/a.txt", None),
            ("src/b.txt", Some("../shared/b.txt")),
            ("latest", Some("releases/2")),
            ("releases", None),
            ("absolute", Some("/src")),
            ("outside", Some("../../etc/passwd")),
            ("loop", Some("loop")),
        ]));
        follow(&tree, &paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn links_bring_their_targets_along() {
        assert_eq!(followed(&["src/a.txt"]), ["src/a.txt"]);
        assert_eq!(followed(&["latest/bin/x"]), ["latest", "releases/2/bin/x"]);
        assert_eq!(followed(&["/absolute"]), ["absolute", "src"]);
        assert_eq!(followed(&["src/*.txt"]), ["shared/b.txt", "src/*.txt"]);
    }

    #[test]
    fn the_root_means_everything() {
        assert!(followed(&["src", "."]).is_empty());
        assert!(followed(&["/"]).is_empty());
    }

    #[test]
    fn no_link_leaves_the_context_and_loops_end_threat_13() {
        assert_eq!(followed(&["outside"]), ["etc/passwd", "outside"]);
        assert_eq!(followed(&["loop/x"]), ["loop"]);
    }
}
