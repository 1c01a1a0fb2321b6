//! Values as they stand in a Dockerfile and in a shell.

use serde_json::Value;

/// Writes a list as JSON on one line, for the exec form of an instruction. What begins a here-document is escaped, since
/// some builders look for it everywhere.
pub(crate) fn json(words: &[String]) -> String {
    let list = Value::from(words.to_vec()).to_string();
    list.replace('<', "\\u003c").replace('\u{7f}', "\\u007f")
}

/// Writes a value of `ENV` in quotes. `$NAME` and `${NAME}` are variables, `$$` is a dollar sign, all else is itself.
pub(crate) fn env(value: &str) -> String {
    let mut out = String::from("\"");
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        let length = if c == '$' { variable(rest) } else { 0 };
        if length > 0 {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        match c {
            '$' => {
                out.push_str("\\$");
                if rest.starts_with("$$") {
                    rest = &rest[1..];
                }
            }
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    out.push('"');
    out
}

/// The length of `$NAME` or `${NAME}` at the beginning, else 0.
fn variable(text: &str) -> usize {
    let after = &text[1..];
    let (name, closing) = match after.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (after, false),
    };
    let length = name.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let is_name = length > 0 && !name.as_bytes()[0].is_ascii_digit();
    match (is_name, closing) {
        (true, false) => 1 + length,
        (true, true) if name[length..].starts_with('}') => length + 3,
        _ => 0,
    }
}

/// Writes a word of a shell.
pub(crate) fn shell(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Splits arguments as a shell does: quotes and backslashes are understood, nothing else is. `None` if a quote is open.
pub(crate) fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, ' ' | '\t' | '\n') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().push(chars.next()?),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_one_by_name_and_all_else_is_itself() {
        assert_eq!(env("/x:$PATH:${HOME}"), "\"/x:$PATH:${HOME}\"");
        assert_eq!(
            env("$(id) $1 ${A:-b} $$x a\"b\\"),
            "\"\\$(id) \\$1 \\${A:-b} \\$x a\\\"b\\\\\""
        );
    }

    #[test]
    fn arguments_are_split_as_a_shell_does() {
        let words = split("--pre  --find-links 'a b' \"c\\\"d\" e\\ f ''").unwrap();
        assert_eq!(words, ["--pre", "--find-links", "a b", "c\"d", "e f", ""]);
        assert_eq!(split("it's"), None);
    }
}
