//! The documented exit codes, and which failure gets which.

use std::process::ExitCode;

use boxwright_core::{Error, ErrorKind};

/// The build or the push, or whatever else was asked for, failed.
pub(crate) const FAILED: u8 = 1;
/// The request was wrong.
pub(crate) const WRONG: u8 = 2;
/// There is no usable engine.
pub(crate) const NO_ENGINE: u8 = 3;
/// It cannot be done here.
pub(crate) const UNSUPPORTED: u8 = 4;
/// A registry did not say whether an image is there.
pub(crate) const UNKNOWN: u8 = 5;
/// A defect of this program.
pub(crate) const BUG: u8 = 70;
/// It was interrupted.
pub(crate) const INTERRUPTED: u8 = 130;

/// An error, and the exit code that it ends the program with.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) code: u8,
}

/// What a command returns: its exit code, mostly 0.
pub(crate) type Outcome = Result<ExitCode, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = of(error.kind());
        Self { error, code }
    }
}

impl Failure {
    /// A failure to find or reach an engine.
    pub(crate) fn no_engine(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Unavailable => NO_ENGINE,
            other => of(other),
        };
        Self { error, code }
    }
}

fn of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidInput | ErrorKind::InvalidDockerfile => WRONG,
        ErrorKind::Unsupported => UNSUPPORTED,
        ErrorKind::Cancelled => INTERRUPTED,
        ErrorKind::Bug => BUG,
        // An engine or a registry that goes away in the middle fails the work; see `no_engine` for the start.
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_is_not_there_is_told_from_one_that_goes_away() {
        let error = || Error::new(ErrorKind::Unavailable, "gone");
        assert_eq!((Failure::from(error()).code, Failure::no_engine(error()).code), (1, 3));
        let wrong = Error::new(ErrorKind::InvalidInput, "unknown engine");
        assert_eq!(Failure::no_engine(wrong).code, 2);
    }
}
