//! The directives at the top of a Dockerfile: `# syntax=`, `# escape=` and `# check=`.
//!
//! A directive counts only before anything else: the first line that is not a known directive ends the block, be it a
//! blank line, another comment or an instruction.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::diagnostic::{Checks, Diagnostic, Span, wrong_checks};
use crate::line::{Line, lines, without_bom};

/// What a directive is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// `syntax`: the frontend image that reads the file. Accepted, never fetched.
    Syntax,
    /// `escape`: the escape character, `\` or a backtick.
    Escape,
    /// `check`: which build checks are skipped, and whether a finding is an error.
    Check,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "syntax",
            Self::Escape => "escape",
            Self::Check => "check",
        })
    }
}

/// One directive of the block at the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// What it is about.
    pub key: Key,
    /// Everything after the `=`, without white space around it.
    pub value: String,
    /// The line in the file, without its line ending.
    pub range: Range<usize>,
}

/// The line that names a frontend image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxLine {
    /// The image: the value up to its first space.
    pub reference: String,
    /// The line in the file, without its line ending; all of the text when that is a JSON object.
    pub range: Range<usize>,
}

/// Finds the line that makes an engine fetch a frontend image, as BuildKit does: `# syntax=…`, `// syntax=…` or a JSON
/// object with the key `syntax`, after a byte-order mark and a `#!` line.
#[must_use]
pub fn syntax(text: &str) -> Option<SyntaxLine> {
    for comment in ["#", "//"] {
        let found = block(text, comment).directives.into_iter().find(|it| it.key == Key::Syntax);
        if let Some(directive) = found {
            return Some(SyntaxLine {
                reference: first_word(&directive.value),
                range: directive.range,
            });
        }
    }
    let (start, body) = body(text);
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(body).ok()?;
    let value = object.get("syntax")?.as_str()?;
    Some(SyntaxLine { reference: value.to_owned(), range: start..text.len() })
}

/// Takes out of `text` what [`syntax`] finds, leaving a comment, so that line numbers stay what they are.
///
/// The comment goes below the other directives, because a comment among them would end the block and turn an `# escape=`
/// that follows into a comment too. [`syntax`] finds nothing in the result.
#[must_use]
pub fn without_syntax(text: &str) -> Cow<'_, str> {
    let mut result = Cow::Borrowed(text);
    while let Some(found) = syntax(&result) {
        let is_line = ["#", "//"].iter().find(|comment| {
            block(&result, comment).directives.iter().any(|it| it.range == found.range)
        });
        let changed = match is_line {
            Some(comment) => move_below_block(&result, comment, &found),
            None => comment_out(&result, &found.range),
        };
        result = Cow::Owned(changed);
    }
    result
}

/// Returns the value of the first `# check=` directive, up to its first space.
#[must_use]
pub fn check(text: &str) -> Option<String> {
    let found = block(text, "#").directives.into_iter().find(|it| it.key == Key::Check)?;
    Some(first_word(&found.value))
}

/// Reads what the `# check=` directive says.
pub(crate) fn checks(text: &str) -> Result<Checks, Diagnostic> {
    let Some(found) = all(text).into_iter().find(|it| it.key == Key::Check) else {
        return Ok(Checks::default());
    };
    let span = Span { start: found.range.start, end: found.range.end };
    Checks::parse(&first_word(&found.value)).map_err(|wrong| wrong_checks(span, wrong))
}

/// Returns the directives that start with `#`, after a byte-order mark and a `#!` line. A key that is there twice ends the
/// list.
#[must_use]
pub fn all(text: &str) -> Vec<Directive> {
    block(text, "#").directives
}

/// The directives of one comment style, and where the block ends.
struct Block {
    directives: Vec<Directive>,
    /// Offset of the first line after the block.
    end: usize,
}

fn block(text: &str, comment: &str) -> Block {
    let (start, body) = body(text);
    let mut block = Block { directives: Vec::new(), end: start };
    for line in lines(body, start) {
        let Some(directive) = of_line(&line, comment) else { break };
        block.end = line.start + line.raw.len();
        // BuildKit stops reading at a key that it has seen; what follows is no directive to it.
        if block.directives.iter().any(|it| it.key == directive.key) {
            break;
        }
        block.directives.push(directive);
    }
    block
}

fn of_line(line: &Line<'_>, comment: &str) -> Option<Directive> {
    let (key, value) = of_text(line.content(), comment)?;
    Some(Directive { key, value, range: line.content_range() })
}

/// Reads `content` as a directive whose comment starts with `comment`. Leading white space is not skipped.
pub(crate) fn of_text(content: &str, comment: &str) -> Option<(Key, String)> {
    let (key, value) = key_and_value(content.strip_prefix(comment)?.trim_start())?;
    let key = match key.to_ascii_lowercase().as_str() {
        "syntax" => Key::Syntax,
        "escape" => Key::Escape,
        "check" => Key::Check,
        _ => return None,
    };
    Some((key, value))
}

fn key_and_value(text: &str) -> Option<(&str, String)> {
    let (key, value) = text.split_once('=')?;
    let key = key.trim_end_matches(ascii_space);
    let starts_with_letter = key.starts_with(|c: char| c.is_ascii_alphabetic());
    if !starts_with_letter || !key.chars().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let trimmed = value.trim_matches(ascii_space);
    if trimmed.is_empty() {
        // A value of spaces alone is its last space, to BuildKit: wrong for every key, but there.
        return Some((key, value.chars().next_back()?.to_string()));
    }
    Some((key, trimmed.to_owned()))
}

fn ascii_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}')
}

fn first_word(value: &str) -> String {
    value.split(' ').next().unwrap_or_default().to_owned()
}

/// What comes after the byte-order mark and the `#!` line, with its offset.
fn body(text: &str) -> (usize, &str) {
    let mut body = without_bom(text);
    if body.starts_with("#!") {
        body = body.split_once('\n').map_or("", |(_, rest)| rest);
    }
    (text.len() - body.len(), body)
}

fn move_below_block(text: &str, comment: &str, found: &SyntaxLine) -> String {
    let end = block(text, comment).end;
    let after_line =
        text[found.range.end..].find('\n').map_or(text.len(), |at| found.range.end + at + 1);
    let ending = &text[found.range.end..after_line];
    let mut result = String::with_capacity(text.len() + 1);
    result.push_str(&text[..found.range.start]);
    let kept = &text[after_line..end.max(after_line)];
    result.push_str(kept);
    if !kept.is_empty() && !kept.ends_with('\n') {
        result.push('\n');
        result.push('#');
        return result;
    }
    result.push('#');
    result.push_str(ending);
    result.push_str(&text[end.max(after_line)..]);
    result
}

fn comment_out(text: &str, range: &Range<usize>) -> String {
    let mut result = text[..range.start].to_owned();
    for line in lines(&text[range.clone()], range.start) {
        result.push_str("# ");
        result.push_str(line.raw);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> Option<String> {
        syntax(text).map(|found| found.reference)
    }

    #[test]
    fn the_syntax_line_is_found_with_its_range() {
        let text = "# syntax = docker/dockerfile:1 // note\nFROM scratch\n";
        let found = syntax(text).expect("there is one");
        assert_eq!(found.reference, "docker/dockerfile:1");
        assert_eq!(&text[found.range], "# syntax = docker/dockerfile:1 // note");
    }

    #[test]
    fn every_form_that_buildkit_takes_is_found() {
        assert_eq!(reference("\u{feff}#SYNTAX=a\r\n").as_deref(), Some("a"));
        assert_eq!(reference("#!/bin/sh\n#syntax=a").as_deref(), Some("a"));
        assert_eq!(reference("# escape=`\n# syntax=a\n").as_deref(), Some("a"));
        assert_eq!(reference("//syntax=a\nrest").as_deref(), Some("a"));
        assert_eq!(reference("{\"syntax\": \"a\", \"b\": [1]}").as_deref(), Some("a"));
    }

    #[test]
    fn a_directive_counts_only_before_anything_else() {
        for text in [
            "\n# syntax=a\n",
            "# hello\n# syntax=a\n",
            "# unknown=1\n# syntax=a\n",
            "FROM scratch\n# syntax=a\n",
            " # syntax=a\n",
            "# syntax\n",
            "{\"syntax\": 1}",
            "",
        ] {
            assert_eq!(syntax(text), None, "{text:?}");
            assert!(matches!(without_syntax(text), Cow::Borrowed(_)), "{text:?}");
        }
    }

    #[test]
    fn taking_the_line_out_keeps_the_other_directives_and_the_line_numbers() {
        let text = "# syntax=a\n# escape=`\nFROM scratch\n";
        assert_eq!(without_syntax(text), "# escape=`\n#\nFROM scratch\n");
        let text = "# escape=`\r\n# syntax=a\r\nFROM scratch\r\n";
        assert_eq!(without_syntax(text), "# escape=`\r\n#\r\nFROM scratch\r\n");
        assert_eq!(without_syntax("# syntax=a\n# escape=`"), "# escape=`\n#");
        assert_eq!(without_syntax("\u{feff}#!/x\n# syntax=a"), "\u{feff}#!/x\n#");
    }

    #[test]
    fn nothing_is_left_to_fetch_however_often_it_is_asked_for() {
        for text in [
            "# syntax=a\n# syntax=b\nFROM scratch\n",
            "# syntax=a\n# escape=`\n# syntax=b\n",
            "//syntax=a\nFROM scratch\n",
            "{\n\"syntax\": \"a\"\n}\n",
            "#!/x\n{\"syntax\": \"a\"}",
            "# syntax= \n",
        ] {
            let result = without_syntax(text);
            assert_eq!(syntax(&result), None, "{text:?} became {result:?}");
            assert_eq!(result.lines().count(), text.lines().count(), "{text:?}");
        }
    }

    #[test]
    fn check_is_read_like_syntax() {
        assert_eq!(check("#check=skip=all // x\nFROM a\n").as_deref(), Some("skip=all"));
        assert_eq!(check("//check=skip=all\n"), None);
    }
}
