//! What went wrong in a command of this program: what happened, why, and what to do.

use std::fmt;

/// The result of everything here that can go wrong.
pub(crate) type Result<T> = std::result::Result<T, Problem>;

/// A failure, printed as the style guide asks: the message, its causes, and a remedy.
#[derive(Debug)]
pub(crate) struct Problem {
    message: String,
    causes: Vec<String>,
    help: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), help: None }
    }

    /// Adds a fact that explains the ones before it.
    pub(crate) fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string().trim_end().to_owned());
        self
    }

    /// Says what to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for cause in self.causes.iter().filter(|cause| !cause.is_empty()) {
            write!(f, "\n  caused by: {}", cause.replace('\n', "\n    "))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n\nhelp: {help}")?;
        }
        Ok(())
    }
}

/// Turns any error into a [`Problem`] that says what was being done.
pub(crate) trait Explain<T> {
    /// Keeps the error as the cause of `message`, which begins with `cannot`.
    fn explain(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Explain<T> for std::result::Result<T, E> {
    fn explain(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Problem::new(message()).cause(error))
    }
}

#[cfg(test)]
mod tests {
    use super::Problem;

    #[test]
    fn a_problem_shows_message_causes_and_help_in_that_order() {
        let problem = Problem::new("cannot start dockerd")
            .cause("it ended at once\nno root")
            .cause("")
            .help("run it as root");
        assert_eq!(
            problem.to_string(),
            "error: cannot start dockerd\n  caused by: it ended at once\n    no root\n\nhelp: run it as root"
        );
    }
}
