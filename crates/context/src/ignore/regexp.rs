//! Go's patterns: are they well formed, and what is their regular expression.

/// Checks `pattern` as Go's `filepath.Match` does, or says what is wrong with it.
pub(super) fn check(pattern: &str) -> Result<(), &'static str> {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next().ok_or("it ends in `\\`")?),
            '[' => check_class(&mut chars)?,
            _ => {}
        }
    }
    Ok(())
}

// SPEC: Go, path/filepath: "'[' [ '^' ] { character-range } ']': character class (must be non-empty)".
fn check_class(chars: &mut std::str::Chars<'_>) -> Result<(), &'static str> {
    if chars.as_str().starts_with('^') {
        chars.next();
    }
    let mut ranges = 0;
    loop {
        if ranges > 0 && chars.as_str().starts_with(']') {
            chars.next();
            return Ok(());
        }
        class_char(chars)?;
        if chars.as_str().starts_with('-') {
            chars.next();
            class_char(chars)?;
        }
        ranges += 1;
    }
}

fn class_char(chars: &mut std::str::Chars<'_>) -> Result<(), &'static str> {
    const OPEN: &str = "a `[` has no `]`";
    match chars.next().ok_or(OPEN)? {
        '-' | ']' => return Err("a class in `[` and `]` has a `-` or `]` out of place"),
        '\\' => drop(chars.next().ok_or(OPEN)?),
        _ => {}
    }
    if chars.as_str().is_empty() { Err(OPEN) } else { Ok(()) }
}

/// Returns Go's regular expression `expression` in the syntax of the `regex` crate, which has operators that Go
/// has not: nested classes and set operations in `[…]`, and `\<` and `\>`.
pub(super) fn from_go(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len() + 8);
    let mut chars = expression.chars().peekable();
    // The number of characters since `[`, in a class.
    let mut class: Option<usize> = None;
    while let Some(c) = chars.next() {
        match (c, class) {
            ('\\', _) => {
                match chars.next() {
                    Some(next) if next.is_ascii_punctuation() => push_literal(&mut out, next),
                    Some(next) => out.extend(['\\', next]),
                    None => out.push('\\'),
                }
                class = class.map(|count| count + 1);
            }
            ('[', None) => {
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                class = Some(0);
            }
            (']', Some(1..)) => {
                out.push(']');
                class = None;
            }
            ('[' | ']' | '&' | '~' | '^', Some(count)) => {
                push_literal(&mut out, c);
                class = Some(count + 1);
            }
            (c, _) => {
                out.push(c);
                class = class.map(|count| count + 1);
            }
        }
    }
    out
}

fn push_literal(out: &mut String, c: char) {
    out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_only_this_engine_knows_are_escaped() {
        for (go, text, other) in [
            ("^[[]$", "[", "]"),
            ("^[a&&b]$", "&", "c"),
            (r"^a\<b$", "a<b", "ab"),
            (r"^[\]]$", "]", "\\"),
            ("^[^^]$", "a", "^"),
            ("^[a-c]x$", "bx", "-x"),
        ] {
            let regex = regex::Regex::new(&from_go(go)).unwrap();
            assert!(regex.is_match(text), "{go} {text}");
            assert!(!regex.is_match(other), "{go} {other}");
        }
    }
}
