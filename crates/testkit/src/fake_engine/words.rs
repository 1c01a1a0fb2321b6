//! Words of instructions: quotes and variables.

use std::collections::BTreeMap;

/// Replaces `$name`, `${name}`, `${name:-default}` and `${name:+other}`. Single quotes and `\$` protect.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    let mut is_single = false;
    while let Some(c) = rest.next() {
        match c {
            '\'' => {
                is_single = !is_single;
                out.push(c);
            }
            '\\' if !is_single => match rest.next() {
                Some('$') => out.push('$'),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '$' if !is_single => {
                let mut name = String::new();
                if rest.next_if_eq(&'{').is_some() {
                    let mut depth = 1;
                    for c in rest.by_ref() {
                        depth += i32::from(c == '{') - i32::from(c == '}');
                        if depth == 0 {
                            break;
                        }
                        name.push(c);
                    }
                    out.push_str(&braced(&name, variables));
                } else {
                    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                        name.push(c);
                    }
                    match variables.get(&name) {
                        _ if name.is_empty() => out.push('$'),
                        Some(value) => out.push_str(value),
                        None => {}
                    }
                }
            }
            other => out.push(other),
        }
    }
    out
}

fn braced(inside: &str, variables: &BTreeMap<String, String>) -> String {
    let value = |name: &str| variables.get(name).cloned().unwrap_or_default();
    if let Some((name, default)) = inside.split_once(":-") {
        let value = value(name);
        if value.is_empty() { expand(default, variables) } else { value }
    } else if let Some((name, other)) = inside.split_once(":+") {
        if value(name).is_empty() { String::new() } else { expand(other, variables) }
    } else {
        value(inside)
    }
}

/// Splits at white space outside of quotes, and takes the quotes away.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(rest.next()),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Reads names and values of `ENV` and `LABEL`, the old form without `=` too.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let words = split(text);
    match words.first() {
        Some(first) if !first.contains('=') => {
            let value = text.trim().split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
            vec![(first.clone(), value.trim().to_owned())]
        }
        _ => {
            let pair = |word: String| match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (word, String::new()),
            };
            words.into_iter().map(pair).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_quotes() {
        let variables = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        for (text, wanted) in [
            ("$a ${a}x ${b:-2} ${a:+3} ${b:-$a}", "1 1x 2 3 1"),
            ("'$a' \\$a \"$a\" $", "'$a' $a \"1\" $"),
        ] {
            assert_eq!(expand(text, &variables), wanted);
        }
        assert_eq!(split("a 'b c' \"d \\\" e\" ''"), ["a", "b c", "d \" e", ""]);
        assert_eq!(pairs("a=1 b=\"2 3\"").len(), 2);
        assert_eq!(pairs("a  1 2"), [("a".to_owned(), "1 2".to_owned())]);
    }
}
