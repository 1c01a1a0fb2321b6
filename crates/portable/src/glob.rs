//! Patterns of `COPY` and `ADD`, as Go's `path/filepath.Match` reads them.

use boxwright_core::{Error, ErrorKind, Result};

/// Whether `text` is a pattern and not a plain path.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// Returns whether `path` matches `pattern`, name by name. A name `**` stands for any number of names.
pub(crate) fn matches(pattern: &str, path: &str) -> Result<bool> {
    let patterns: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let names: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    // Which beginnings of the path match the patterns so far.
    let mut reached = vec![false; names.len() + 1];
    reached[0] = true;
    for part in patterns {
        let mut next = vec![false; names.len() + 1];
        for at in 0..=names.len() {
            if part == "**" {
                next[at] = reached[at] || (at > 0 && next[at - 1]);
            } else if at > 0 && reached[at - 1] {
                next[at] = name_matches(part, names[at - 1])?;
            }
        }
        reached = next;
    }
    Ok(reached[names.len()])
}

fn name_matches(pattern: &str, name: &str) -> Result<bool> {
    let wrong = || {
        Error::new(ErrorKind::InvalidDockerfile, format!("`{pattern}` is no pattern"))
            .with_cause("a bracket is not closed, or nothing follows a backslash")
            .with_remedy("put `\\` before a bracket that is meant literally")
    };
    let tokens = tokens(pattern).ok_or_else(wrong)?;
    let name: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for token in &tokens {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match token {
                Token::Any => reached[at] || (at > 0 && next[at - 1]),
                Token::One(set) => at > 0 && reached[at - 1] && set.has(name[at - 1]),
            };
        }
        reached = next;
    }
    Ok(reached[name.len()])
}

enum Token {
    Any,
    One(Set),
}

struct Set {
    ranges: Vec<(char, char)>,
    negated: bool,
}

impl Set {
    fn has(&self, c: char) -> bool {
        self.ranges.iter().any(|&(low, high)| (low..=high).contains(&c)) != self.negated
    }
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut chars = pattern.chars().peekable();
    let mut tokens = Vec::new();
    let literal = |c| Token::One(Set { ranges: vec![(c, c)], negated: false });
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One(Set { ranges: Vec::new(), negated: true }),
            '\\' => literal(chars.next()?),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
                        break Token::One(Set { ranges, negated });
                    }
                    let low = bound(&mut chars)?;
                    let high = match chars.next_if_eq(&'-') {
                        Some(_) => bound(&mut chars)?,
                        None => low,
                    };
                    ranges.push((low, high));
                }
            }
            c => literal(c),
        });
    }
    Some(tokens)
}

fn bound(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Source: the table of Go's `path/filepath` tests, as far as it concerns single names.
    #[test]
    fn names_match_as_in_go() {
        for (pattern, name, expected) in [
            ("abc", "abc", Some(true)),
            ("*c", "abc", Some(true)),
            ("a*/b", "abc/b", Some(true)),
            ("a*/b", "a/c/b", Some(false)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Some(false)),
            ("ab[b-d]", "abc", Some(true)),
            ("ab[e-g]", "abc", Some(false)),
            ("ab[^b-d]", "abc", Some(false)),
            ("a\\*b", "a*b", Some(true)),
            ("a\\*b", "ab", Some(false)),
            ("a???b", "a☺b", Some(false)),
            ("[\\]a]", "]", Some(true)),
            ("[]a]", "]", None),
            ("[x-]", "x", None),
            ("[", "a", None),
            ("a\\", "a", None),
            ("**/b", "a/x/b", Some(true)),
            ("**/b", "b", Some(true)),
            ("a/**", "b/a", Some(false)),
        ] {
            assert_eq!(matches(pattern, name).ok(), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let (pattern, name) = ("a*".repeat(2_000), "a".repeat(4_000) + "b");
        assert!(matches(&pattern, &name).unwrap());
        assert!(!matches(&(pattern + "c"), &name).unwrap());
    }
}
