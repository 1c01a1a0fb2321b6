//! A problem in a Dockerfile: what it is, where, and what to do about it.

mod checks;
mod error;
mod excerpt;
mod rule;
mod sink;

use std::fmt;

pub(crate) use checks::{Checks, wrong as wrong_checks};
pub use error::to_error;
pub use excerpt::Excerpt;
use excerpt::printable;
pub use rule::Rule;
pub(crate) use sink::Sink;

/// How many characters a message has at most.
const MESSAGE: usize = 400;

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
    /// The build check that found it, where BuildKit has that check too.
    pub rule: Option<Rule>,
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
        Self { severity: Severity::Error, message, span, remedy: None, rule: None }
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

    /// Adds the build check that found it.
    #[must_use]
    pub fn with_rule(self, rule: Rule) -> Self {
        Self { rule: Some(rule), ..self }
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
        let indent = " ".repeat(excerpt.line.to_string().len());
        let mut out = format!("{label}: {}\n", printable(&self.to_string()));
        out += &format!("{indent} --> {name}:{}:{}\n{excerpt}\n", excerpt.line, excerpt.column);
        if let Some(remedy) = &self.remedy {
            out += &format!("help: {}\n", printable(remedy));
        }
        out
    }
}

/// The message, with the name of the check that found it.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.rule.map_or(Ok(()), |rule| write!(f, " ({rule})"))
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
}
