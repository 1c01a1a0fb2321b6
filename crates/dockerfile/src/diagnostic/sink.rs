//! Where problems are collected.

use super::{Checks, Diagnostic, Severity, Span};

/// How many problems of one file are kept. A file of ten million mistakes has the same cause for most of them.
const LIMIT: usize = 100;

/// Collects problems, up to a limit for each severity.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    more: Option<Diagnostic>,
    checks: Checks,
}

impl Sink {
    /// Makes one that leaves out what `checks` skips.
    pub(crate) fn with(checks: &Checks) -> Self {
        Self { checks: checks.clone(), ..Self::default() }
    }

    /// Takes a problem.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.checks.skips(&diagnostic) {
            return;
        }
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
