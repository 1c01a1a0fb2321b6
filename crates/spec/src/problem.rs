//! What is wrong with a specification: all of it at once.

use boxwright_core::{Error, ErrorKind};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, with the user's value.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// Makes one error of all problems of the file `shown`.
pub(crate) fn error(shown: &str, mut problems: Vec<Problem>) -> Error {
    if problems.len() == 1 {
        let problem = problems.remove(0);
        return Error::new(ErrorKind::InvalidInput, problem.what)
            .with_context("file", shown)
            .with_remedy(problem.remedy);
    }
    let message = format!("`{shown}` has {} problems", problems.len());
    let error = Error::new(ErrorKind::InvalidInput, message);
    problems.into_iter().fold(error, |error, Problem { what, remedy }| {
        error.with_context("problem", format!("{what}; {remedy}"))
    })
}
