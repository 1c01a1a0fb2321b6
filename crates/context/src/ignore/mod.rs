//! Docker's own ignore rules: the last pattern that matches decides, and a folder that matches takes
//! everything in it along.
//! Source: `moby/patternmatcher`, whose behaviour is followed to the letter.

mod clean;
mod file;
mod pattern;
mod regexp;

use boxwright_core::{Error, ErrorKind, Result};

pub use file::parse;
use pattern::Pattern;
pub use pattern::explain;

/// Compiled ignore rules.
#[derive(Clone, Debug)]
pub struct Rules {
    patterns: Vec<Pattern>,
    /// Whether some pattern re-includes.
    exceptions: bool,
    /// Whether every pattern that re-includes is a plain path.
    plain_exceptions: bool,
}

/// Which patterns match a folder, for what is in it: with it, a walk looks at each name once.
#[derive(Clone, Debug, Default)]
pub struct Matched(Vec<bool>);

impl Rules {
    /// Compiles `patterns`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] with the pattern that is not one.
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Result<Self> {
        let mut compiled = Vec::with_capacity(patterns.len());
        for text in patterns.iter().map(AsRef::as_ref) {
            let pattern = Pattern::new(text).map_err(|cause| {
                Error::new(ErrorKind::InvalidInput, format!("`{text}` is not an ignore pattern"))
                    .with_cause(cause)
                    .with_remedy("write it as in `docs/*.md`, or put `\\` before a bracket that is meant literally")
            })?;
            compiled.extend(pattern);
        }
        let exceptions = || compiled.iter().filter(|pattern| pattern.is_exception());
        Ok(Self {
            exceptions: exceptions().next().is_some(),
            plain_exceptions: exceptions().all(Pattern::is_plain),
            patterns: compiled,
        })
    }

    /// Returns whether `path` is excluded, by itself or by a folder above it.
    #[must_use]
    pub fn excludes(&self, path: &str) -> bool {
        self.verdict(path, None).0
    }

    /// Returns whether `path` itself matches, whatever is above it.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.patterns.iter().fold(false, |matched, pattern| {
            // A pattern that cannot change the answer is not tried.
            if pattern.is_exception() == matched && pattern.matches(path) {
                !matched
            } else {
                matched
            }
        })
    }

    /// Returns whether `path` is excluded, given what matched the folder it is in (`None` for the root), and
    /// what matches it.
    #[must_use]
    pub fn verdict(&self, path: &str, parent: Option<&Matched>) -> (bool, Matched) {
        let mut excluded = false;
        let mut matched = vec![false; self.patterns.len()];
        for (index, pattern) in self.patterns.iter().enumerate() {
            let by_parent = parent.is_some_and(|parent| parent.0[index]);
            if !by_parent && pattern.is_exception() != excluded {
                continue;
            }
            let hit = by_parent
                || pattern.matches(path)
                || (parent.is_none() && folders_above(path).any(|folder| pattern.matches(folder)));
            matched[index] = hit;
            if hit {
                excluded = !pattern.is_exception();
            }
        }
        (excluded, Matched(matched))
    }

    /// Returns whether something in the excluded folder `folder` may be included again.
    pub(crate) fn may_include_below(&self, folder: &str) -> bool {
        if !self.exceptions || !self.plain_exceptions {
            return self.exceptions;
        }
        self.patterns.iter().filter(|pattern| pattern.is_exception()).any(|pattern| {
            pattern.text().strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

fn folders_above(path: &str) -> impl Iterator<Item = &str> {
    path.char_indices().filter(|&(index, c)| c == '/' && index > 0).map(|(index, _)| &path[..index])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excludes(patterns: &[&str], path: &str) -> bool {
        Rules::new(patterns).unwrap().excludes(path)
    }

    #[test]
    fn the_last_match_decides() {
        assert!(excludes(&["*.md"], "a.md"));
        assert!(!excludes(&["*.md", "!a.md"], "a.md"));
        assert!(excludes(&["!a.md", "*.md"], "a.md"));
        assert!(!excludes(&["*", "!keep"], "keep/deep/file"));
    }

    #[test]
    fn a_folder_takes_what_is_in_it_along() {
        assert!(excludes(&["target"], "target/debug/app"));
        assert!(!excludes(&["target"], "src/target"));
        assert!(excludes(&["**/target"], "src/target/app"));
    }

    #[test]
    fn an_excluded_folder_is_entered_only_for_an_exception_below_it() {
        let rules = Rules::new(&["docs", "!docs/api/index.md"]).unwrap();
        assert!(rules.may_include_below("docs") && rules.may_include_below("docs/api"));
        assert!(!rules.may_include_below("docs/guide") && !rules.may_include_below("doc"));
        assert!(!Rules::new(&["docs"]).unwrap().may_include_below("docs"));
        assert!(Rules::new(&["docs", "!**/*.md"]).unwrap().may_include_below("docs/guide"));
    }

    #[test]
    fn no_pattern_and_no_path_is_a_panic_threat_24() {
        use proptest::prelude::*;
        let text = r"[*?!\\\[\]^/.ab\-&~<é ]{0,12}";
        proptest!(|(patterns in prop::collection::vec(text, 0..4), path in "[ab/.é]{0,9}")| {
            if let Ok(rules) = Rules::new(&patterns) {
                let _ = (rules.excludes(&path), rules.may_include_below(&path));
            }
        });
    }

    #[test]
    fn a_bad_pattern_is_named_and_never_a_panic_threat_24() {
        for bad in ["[", "a[", "[^", "[a-b-c]", "[-x]", "\\", "!", "!["] {
            let error = Rules::new(&[bad]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(bad));
        }
    }

    #[test]
    fn many_wildcards_match_in_linear_time_threat_24() {
        let pattern = "*a".repeat(200);
        let path = "a".repeat(4000) + "b";
        assert!(!excludes(&[&pattern], &path));
    }
}
