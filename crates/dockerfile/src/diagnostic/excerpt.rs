//! The line that a problem is in.

use std::fmt;

use super::Span;

/// How many characters of a line are shown around a problem.
const SHOWN: usize = 160;

/// A line with a problem in it: no control characters, cut to a readable length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Line number, from one.
    pub line: usize,
    /// Column of the problem in characters, from one.
    pub column: usize,
    /// The line, or as much of it as is shown.
    pub text: String,
    /// How many characters of `text` come before the problem.
    pub before: usize,
    /// How many characters of `text` are the problem.
    pub marks: usize,
}

impl Excerpt {
    pub(super) fn of(span: Span, text: &str) -> Self {
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let to = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[from..to].trim_end_matches('\r');
        let column = text[from..start].chars().count();
        let mut end = span.end.clamp(start, from + line.len().max(start - from));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let length = text[start..end].chars().count();
        let skipped = column.saturating_sub(SHOWN / 2);
        let shown: String = line.chars().skip(skipped).take(SHOWN).collect();
        let before = column - skipped;
        let marks = length.min(shown.chars().count().saturating_sub(before));
        Self { line: span.line(text), column: column + 1, text: printable(&shown), before, marks }
    }
}

/// The line with its number, and the marks below it.
impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let (indent, blank) = (" ".repeat(number.len()), " ".repeat(self.before));
        let marks = "^".repeat(self.marks.max(1));
        write!(f, " {number} | {}\n {indent} | {blank}{marks}", self.text)
    }
}

/// A Dockerfile is not trusted: what is quoted from it must not steer a terminal.
pub(super) fn printable(text: &str) -> String {
    let replace = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.trim_start_matches('\u{feff}').chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Diagnostic;
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_the_problem() {
        let text = format!("{}é!{}", "x".repeat(500), "y".repeat(500));
        let excerpt = Diagnostic::error(Span { start: 502, end: 503 }, "x").excerpt(&text);
        assert_eq!((excerpt.column, excerpt.before, excerpt.marks), (502, 80, 1));
        assert_eq!(excerpt.text.chars().nth(excerpt.before), Some('!'));
        assert_eq!(excerpt.text.chars().count(), SHOWN);
    }

    #[test]
    fn a_span_out_of_the_text_is_shown_at_its_end() {
        let excerpt = Diagnostic::error(Span { start: 90, end: 99 }, "x").excerpt("ab\n");
        assert_eq!((excerpt.line, excerpt.column, excerpt.marks), (2, 1, 0));
    }
}
