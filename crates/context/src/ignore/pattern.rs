//! One ignore pattern.

use regex::Regex;

use super::clean::clean;
use super::regexp;

/// One ignore pattern, compiled.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    exception: bool,
    kind: Kind,
}

/// How a pattern is matched. Most are plain text, which needs no regular expression.
#[derive(Clone, Debug)]
enum Kind {
    /// The text itself.
    Exact,
    /// `text**`: whatever begins with the text.
    Prefix(String),
    /// `**text`: whatever ends in the text.
    Suffix(String),
    /// Anything else.
    Regex(Regex),
}

impl Pattern {
    /// Compiles `text`; blank text is no pattern. Fails with the reason.
    pub(super) fn new(text: &str) -> Result<Option<Self>, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let cleaned = clean(text);
        let (exception, text) = match cleaned.strip_prefix('!') {
            Some("") => return Err("there is nothing after `!`".into()),
            Some(rest) => (true, rest),
            None => (false, cleaned.as_str()),
        };
        regexp::check(text)?;
        let kind = match translate(text) {
            Translated::Exact => Kind::Exact,
            Translated::Prefix => Kind::Prefix(text[..text.len() - 2].to_owned()),
            Translated::Suffix => Kind::Suffix(text[2..].to_owned()),
            Translated::Regex(expression) => {
                let regex = Regex::new(&regexp::from_go(&expression));
                Kind::Regex(regex.map_err(|error| {
                    // The first line of the engine's message is a heading.
                    error.to_string().lines().last().unwrap_or_default().trim().to_owned()
                })?)
            }
        };
        Ok(Some(Self { text: text.to_owned(), exception, kind }))
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_exception(&self) -> bool {
        self.exception
    }

    /// Returns whether the pattern is a path and nothing but a path.
    pub(super) fn is_plain(&self) -> bool {
        !self.text.contains(['*', '[', ']', '?', '^', '\\'])
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.kind {
            Kind::Exact => path == self.text,
            Kind::Prefix(prefix) => path.starts_with(prefix),
            Kind::Suffix(suffix) => {
                path.ends_with(suffix) || suffix.strip_prefix('/').is_some_and(|rest| path == rest)
            }
            Kind::Regex(regex) => regex.is_match(path),
        }
    }
}

/// Returns how `pattern` is matched: `exact`, `prefix`, `suffix`, or its regular expression in Go's syntax.
/// For tables and messages.
#[must_use]
pub fn explain(pattern: &str) -> String {
    match translate(&clean(pattern.trim())) {
        Translated::Exact => "exact".into(),
        Translated::Prefix => "prefix".into(),
        Translated::Suffix => "suffix".into(),
        Translated::Regex(expression) => expression,
    }
}

/// What a pattern becomes.
#[derive(Debug, PartialEq, Eq)]
enum Translated {
    Exact,
    Prefix,
    Suffix,
    /// A regular expression in Go's syntax.
    Regex(String),
}

/// Follows `patternmatcher`'s `compile` character by character, its oddities included.
fn translate(pattern: &str) -> Translated {
    let mut expression = String::from("^");
    let mut kind = Translated::Exact;
    let regex = || Translated::Regex(String::new());
    let mut chars = pattern.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                // `**/` counts as `**`.
                chars.next_if_eq(&'/');
                if chars.peek().is_some() {
                    expression.push_str("(.*/)?");
                    kind = regex();
                } else if kind == Translated::Exact {
                    kind = Translated::Prefix;
                } else {
                    expression.push_str(".*");
                    kind = regex();
                }
                if first {
                    kind = Translated::Suffix;
                }
            }
            '*' | '?' => {
                expression.push_str(if c == '*' { "[^/]*" } else { "[^/]" });
                kind = regex();
            }
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => expression.extend(['\\', c]),
            '\\' => {
                expression.push('\\');
                if let Some(next) = chars.next() {
                    expression.push(next);
                    kind = regex();
                }
            }
            '[' | ']' => {
                expression.push(c);
                kind = regex();
            }
            c => expression.push(c),
        }
        first = false;
    }
    match kind {
        Translated::Regex(_) => Translated::Regex(expression + "$"),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_the_simplest_kind_that_serves() {
        assert_eq!(translate("src/main.rs"), Translated::Exact);
        assert_eq!(translate("src/**"), Translated::Prefix);
        assert_eq!(translate("**/*.rs"), Translated::Regex(r"^(.*/)?[^/]*\.rs$".into()));
        assert_eq!(translate("**/main.rs"), Translated::Suffix);
        assert_eq!(translate("a?[b-d]"), Translated::Regex("^a[^/][b-d]$".into()));
        assert_eq!(translate(r"a\*"), Translated::Regex(r"^a\*$".into()));
    }
}
