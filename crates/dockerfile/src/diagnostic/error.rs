//! The problems of a file as one error.

use boxwright_core::{Error, ErrorKind};

use super::excerpt::printable;
use super::{Diagnostic, Severity};

/// How many problems an error names beside the first.
const MORE: usize = 20;

/// Makes one error of the problems that a file was refused for: the first one with its line, and the others beside it.
/// `name` is what the file is called.
///
/// ```
/// use boxwright_dockerfile::diagnostic::to_error;
/// use boxwright_dockerfile::plan::{Options, Plan};
///
/// let text = "FROM scratch\nCOPPY . /app\nUSER\n";
/// let error = to_error(&Plan::new(text, Options::default()).unwrap_err(), "Dockerfile", text);
/// assert_eq!(error.to_string(), "unknown instruction `COPPY`");
/// assert_eq!(error.context()[0], ("location", "Dockerfile:2:1".to_owned()));
/// assert_eq!(error.context()[2].1, "Dockerfile:3:1: `USER` needs exactly one argument (write `USER VALUE`)");
/// ```
#[must_use]
pub fn to_error(problems: &[Diagnostic], name: &str, text: &str) -> Error {
    let mut errors = problems.iter().filter(|it| it.severity == Severity::Error);
    let Some(first) = errors.next() else {
        return Error::new(ErrorKind::Bug, "a Dockerfile was refused without a reason");
    };
    let place = |problem: &Diagnostic| {
        let excerpt = problem.excerpt(text);
        format!("{}:{}:{}", printable(name), excerpt.line, excerpt.column)
    };
    let mut error = Error::new(ErrorKind::InvalidDockerfile, printable(&first.to_string()))
        .with_context("location", place(first))
        .with_context("excerpt", first.excerpt(text).to_string());
    if let Some(remedy) = &first.remedy {
        error = error.with_remedy(printable(remedy));
    }
    for (number, problem) in errors.enumerate() {
        if number == MORE {
            return error.with_context("also", "further problems, once these are corrected");
        }
        let remedy =
            problem.remedy.as_ref().map_or_else(String::new, |it| format!(" ({})", printable(it)));
        error = error.with_context(
            "also",
            format!("{}: {}{remedy}", place(problem), printable(&problem.to_string())),
        );
    }
    error
}

#[cfg(test)]
mod tests {
    use super::super::Span;
    use super::*;

    #[test]
    fn an_error_names_only_so_many_problems() {
        let problem = |at| Diagnostic::error(Span { start: at, end: at }, "x");
        let error = to_error(&(0..50).map(problem).collect::<Vec<_>>(), "Dockerfile", "text");
        assert_eq!(error.context().len(), 2 + MORE + 1);
        assert_eq!(error.kind(), ErrorKind::InvalidDockerfile);
    }

    #[test]
    fn warnings_alone_refuse_nothing() {
        let warning = Diagnostic::warning(Span::default(), "x");
        assert_eq!(to_error(&[warning], "Dockerfile", "").kind(), ErrorKind::Bug);
    }
}
