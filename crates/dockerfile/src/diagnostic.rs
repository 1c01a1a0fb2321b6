//! A problem in a Dockerfile: what it is, where, and what to do about it.

use std::fmt;

/// How many problems of one file are kept. A file of ten million mistakes has the same cause for most of them.
const LIMIT: usize = 100;

/// How many characters a message has at most.
const MESSAGE: usize = 400;

/// How many characters of a line are shown around a problem.
const SHOWN: usize = 160;

/// A stretch of the file, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
}

impl Span {
    /// Returns the span from the start of `self` to the end of `other`.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Returns the number of the line that the span starts in, counted from one.
    #[must_use]
    pub fn line(self, text: &str) -> usize {
        let before = &text.as_bytes()[..self.start.min(text.len())];
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    }
}

/// Whether a problem stops the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file cannot be built.
    Error,
    /// The file can be built, but likely does not do what it seems to.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the build.
    pub severity: Severity,
    /// What is wrong, on one line.
    pub message: String,
    /// Where it is wrong.
    pub span: Span,
    /// What to do, where that is known.
    pub remedy: Option<String>,
}

impl Diagnostic {
    /// Makes an error at `span`.
    #[must_use]
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MESSAGE) {
            // A name in the file can be as long as the file.
            message.truncate(end);
            message.push('…');
        }
        Self { severity: Severity::Error, message, span, remedy: None }
    }

    /// Makes a warning at `span`.
    #[must_use]
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// Returns the line of `text` that the problem is in, ready to be shown.
    #[must_use]
    pub fn excerpt(&self, text: &str) -> Excerpt {
        Excerpt::of(self.span, text)
    }

    /// Returns the problem as it is shown to people, over several lines. `name` is what the file is called.
    #[must_use]
    pub fn render(&self, name: &str, text: &str) -> String {
        let excerpt = self.excerpt(text);
        let label = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let number = excerpt.line.to_string();
        let mut out = format!("{label}: {}\n", printable(&self.message));
        out += &format!(
            "{:width$} --> {name}:{}:{}\n",
            "",
            excerpt.line,
            excerpt.column,
            width = number.len()
        );
        out += &format!(" {number} | {}\n", excerpt.text);
        let marks = "^".repeat(excerpt.marks.max(1));
        let blank = " ".repeat(excerpt.before);
        out += &format!(" {:width$} | {blank}{marks}\n", "", width = number.len());
        if let Some(remedy) = &self.remedy {
            out += &format!("help: {}\n", printable(remedy));
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

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
    fn of(span: Span, text: &str) -> Self {
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

/// A Dockerfile is not trusted: what is quoted from it must not steer a terminal.
fn printable(text: &str) -> String {
    let replace = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.trim_start_matches('\u{feff}').chars().map(replace).collect()
}

/// Collects problems, up to a limit for each severity.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    more: Option<Diagnostic>,
}

impl Sink {
    /// Takes a problem.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let kept = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if kept.len() < LIMIT {
            kept.push(diagnostic);
        } else {
            self.cut(diagnostic.span);
        }
    }

    /// Says that there are more problems than those taken.
    pub(crate) fn cut(&mut self, span: Span) {
        let message = format!("there are more problems than these {LIMIT}");
        self.more = Some(match self.is_full() {
            true => Diagnostic::error(span, message),
            false => Diagnostic::warning(span, message),
        });
    }

    /// Whether an error was taken.
    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether there are so many errors that no more are shown, and no more need to be found.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.len() >= LIMIT
    }

    /// Whether no more warnings are shown.
    pub(crate) fn is_full_of_warnings(&self) -> bool {
        self.warnings.len() >= LIMIT
    }

    /// Returns what was found, in the order of the file.
    pub(crate) fn into_vec(self) -> Vec<Diagnostic> {
        let mut all = self.errors;
        all.extend(self.warnings);
        all.sort_by_key(|it| it.span.start);
        all.extend(self.more);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_its_line() {
        let text = "FROM scratch\nCOPPY . /app\r\n";
        let problem = Diagnostic::error(Span { start: 13, end: 18 }, "unknown instruction `COPPY`");
        assert_eq!(
            problem.with_remedy("use `COPY`").render("Dockerfile", text),
            "error: unknown instruction `COPPY`\n  --> Dockerfile:2:1\n 2 | COPPY . /app\n   | ^^^^^\nhelp: use `COPY`\n"
        );
    }

    #[test]
    fn control_characters_of_the_file_do_not_reach_the_terminal() {
        let text = "RUN \u{1b}[31m\tx";
        let shown = Diagnostic::error(Span { start: 4, end: 5 }, "`\u{1b}`").render("f", text);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\t'), "{shown:?}");
    }

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

    #[test]
    fn only_so_many_problems_are_kept() {
        let at = |at| Span { start: at, end: at };
        let mut sink = Sink::default();
        (0..150).for_each(|it| sink.push(Diagnostic::warning(at(it), "x")));
        assert!(sink.is_full_of_warnings() && !sink.has_errors() && !sink.is_full());
        sink.push(Diagnostic::error(at(7), "y"));
        assert!(sink.has_errors());
        let all = sink.into_vec();
        assert_eq!(all.len(), LIMIT + 2);
        assert_eq!(all[LIMIT + 1].message, "there are more problems than these 100");
        assert_eq!(all[LIMIT + 1].severity, Severity::Warning);
    }
}
