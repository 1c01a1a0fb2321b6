//! The patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*`, `?`, and escapes.

use regex::Regex;

use super::ExpandError;

type Result<T> = std::result::Result<T, ExpandError>;

/// A shell pattern, compiled to an expression that is matched without backtracking.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
}

impl Pattern {
    /// What compiling a pattern and matching it counts for among what may be written. Matching takes no more steps than
    /// both lengths multiplied.
    pub(crate) fn cost(pattern: &str, value: &str) -> usize {
        (512 + 64 * pattern.len()).saturating_add(pattern.len().saturating_mul(value.len()) / 2)
    }

    pub(crate) fn prefix(pattern: &str, greedy: bool) -> Result<Self> {
        Self::compile(&expression(pattern, greedy, true)?)
    }

    /// The shortest match at the end is found by looking at everything from the end.
    pub(crate) fn suffix(pattern: &str, greedy: bool) -> Result<Self> {
        Self::prefix(&reversed_pattern(pattern), greedy)
    }

    pub(crate) fn anywhere(pattern: &str) -> Result<Self> {
        Self::compile(&expression(pattern, true, false)?)
    }

    fn compile(expression: &str) -> Result<Self> {
        let regex = Regex::new(expression).map_err(|_| {
            ExpandError::new("the pattern is too large").with_remedy("use a shorter pattern")
        })?;
        Ok(Self { regex })
    }

    pub(crate) fn without_prefix<'a>(&self, value: &'a str) -> &'a str {
        self.regex.find(value).map_or(value, |found| &value[found.end()..])
    }

    pub(crate) fn without_suffix(&self, value: &str) -> String {
        let reversed: String = value.chars().rev().collect();
        self.without_prefix(&reversed).chars().rev().collect()
    }

    pub(crate) fn replace(&self, value: &str, replacement: &str) -> String {
        match self.regex.find(value) {
            Some(found) => [&value[..found.start()], replacement, &value[found.end()..]].concat(),
            None => value.to_owned(),
        }
    }

    /// Replaces every match. As in BuildKit, `$0` in the replacement stands for what matched.
    pub(crate) fn replace_all(
        &self,
        value: &str,
        replacement: &str,
        room: impl Fn(usize) -> Result<()>,
    ) -> Result<String> {
        let count = self.regex.find_iter(value).count();
        let groups = replacement.matches('$').count();
        let kept = value.len().saturating_mul(groups + 1);
        room(kept.saturating_add(count.saturating_mul(replacement.len())))?;
        Ok(self.regex.replace_all(value, replacement).into_owned())
    }
}

/// Writes a shell pattern as a regular expression, where `*` takes as much as it can if it is `greedy`.
///
/// # Errors
///
/// An escape of anything but `*`, `?`, the escape character, `}` and `/`.
pub fn expression(pattern: &str, greedy: bool, anchored: bool) -> Result<String> {
    let mut out = String::with_capacity(pattern.len() + 4);
    if anchored {
        out.push('^');
    }
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str(if greedy { ".*" } else { ".*?" }),
            '?' => out.push('.'),
            '\\' => match chars.next() {
                // Escaped because of the braces around; the escape is not of the pattern.
                Some(c @ ('}' | '/')) => push_plain(&mut out, c),
                Some(c @ ('*' | '?' | '\\')) => {
                    out.push('\\');
                    out.push(c);
                }
                other => {
                    let written: String = other.into_iter().collect();
                    return Err(ExpandError::new(format!(
                        "`\\{written}` is no escape in a pattern"
                    ))
                    .with_remedy("escape only `*`, `?` and the backslash"));
                }
            },
            c => push_plain(&mut out, c),
        }
    }
    Ok(out)
}

fn push_plain(out: &mut String, c: char) {
    if matches!(c, '[' | ']' | '{' | '}' | '.' | '+' | '(' | ')' | '|' | '^' | '$') {
        out.push('\\');
    }
    out.push(c);
}

/// Turns a pattern around, keeping each escape before what it escapes.
#[must_use]
pub fn reversed_pattern(pattern: &str) -> String {
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        parts.push((c, escaped));
    }
    parts.into_iter().rev().flat_map(|(c, escaped)| std::iter::once(c).chain(escaped)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_expressions() {
        assert_eq!(expression("a*.?", false, true).expect("it is right"), "^a.*?\\..");
        assert_eq!(expression("\\*\\}x", true, false).expect("it is right"), "\\*\\}x");
        assert!(expression("a\\b", true, true).is_err());
        assert!(expression("a\\", true, true).is_err());
    }

    #[test]
    fn a_reversed_pattern_keeps_its_escapes() {
        assert_eq!(reversed_pattern("ab\\*c"), "c\\*ba");
        assert_eq!(reversed_pattern("x\\"), "\\x");
    }

    #[test]
    fn the_shortest_suffix_is_taken_off() {
        let value = "a.b.c";
        assert_eq!(Pattern::suffix(".*", false).expect("it is right").without_suffix(value), "a.b");
        assert_eq!(Pattern::suffix(".*", true).expect("it is right").without_suffix(value), "a");
    }

    #[test]
    fn a_replacement_that_grows_needs_room() {
        let pattern = Pattern::anywhere("a").expect("it is right");
        let no_room = |size| if size > 100 { Err(ExpandError::new("full")) } else { Ok(()) };
        assert_eq!(pattern.replace_all("aba", "xx", no_room).as_deref(), Ok("xxbxx"));
        assert!(pattern.replace_all(&"a".repeat(20), "0123456789", no_room).is_err());
    }
}
