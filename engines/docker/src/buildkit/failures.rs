//! BuildKit's failures in our errors. Pure, and table-tested on what daemons really said.

use std::sync::{Arc, Mutex};

use boxwright_core::{Error, ErrorKind, Session};
use tonic::{Code, Status};

use super::status::FailedStep;
use crate::errors;

/// Keeps the first error of our own that a service of the session met: what the daemon makes of it
/// afterwards has lost its cause and remedy.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted(Arc<Mutex<Option<Error>>>);

impl Noted {
    /// Keeps `error`, and returns what the daemon is told of it.
    pub(super) fn note(&self, error: Error) -> Status {
        let status = Status::aborted(error.to_string());
        self.lock().get_or_insert(error);
        status
    }

    /// Returns the error that was kept.
    pub(super) fn take(&self) -> Option<Error> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Returns the exit status in BuildKit's words for a process that failed.
pub(super) fn exit_code(error: &str) -> Option<i64> {
    let (_, rest) = error.rsplit_once("exit code: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Returns the error for a solve that ended with `status`, while `failed` was the step that failed.
pub(super) fn solve_failed(status: &Status, failed: Option<&FailedStep>) -> Error {
    if status.code() == Code::Cancelled {
        return Session::cancelled();
    }
    let said = plain(status.message());
    if let Some(failed) = failed
        && let Some(code) = exit_code(&failed.error)
    {
        return Error::step_failed(&failed.name, code);
    }
    // The connection broke: `tonic` puts the transport's error behind its own words.
    if status.code() == Code::Unavailable || broke(&said.to_ascii_lowercase()) {
        return gone(&said);
    }
    errors::build_failed(failed.map(|failed| failed.name.as_str()), None, &said)
}

fn broke(words: &str) -> bool {
    let broken = ["transport error", "h2 protocol error", "error reading a body from connection"];
    broken.iter().any(|part| words.contains(part))
}

fn gone(said: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "the connection to the daemon broke during the build")
        .with_cause(said)
        .with_remedy(
            "see the daemon's log, start it again, and build again; finished steps are cached",
        )
}

/// Takes the layers of wrapping off what BuildKit says.
fn plain(message: &str) -> String {
    let mut rest = message.trim();
    let wrappers = [
        "failed to solve with frontend dockerfile.v0: ",
        "failed to solve with frontend gateway.v0: ",
        "failed to solve: ",
        "failed to build LLB: ",
        "rpc error: code = Unknown desc = ",
        "failed to create LLB definition: ",
    ];
    while let Some(shorter) = wrappers.iter().find_map(|wrapper| rest.strip_prefix(wrapper)) {
        rest = shorter;
    }
    rest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(name: &str, error: &str) -> FailedStep {
        FailedStep { name: name.to_owned(), error: error.to_owned() }
    }

    #[test]
    fn a_failing_command_is_a_failed_build_with_step_and_status() {
        for error in [
            "executor failed running [/bin/sh -c exit 42]: exit code: 42",
            "process \"/bin/sh -c exit 42\" did not complete successfully: exit code: 42",
        ] {
            let status = Status::unknown(format!("failed to solve: {error}"));
            let error = solve_failed(&status, Some(&failed("[2/2] RUN exit 42", error)));
            assert_eq!(error.kind(), ErrorKind::BuildFailed);
            assert_eq!(
                error.context(),
                [("step", "RUN exit 42".to_owned()), ("exit code", "42".to_owned())]
            );
        }
    }

    #[test]
    fn what_daemons_said_has_its_kind() {
        for (said, kind) in [
            // 20.10.24
            (
                "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown instruction: COPPY",
                ErrorKind::InvalidDockerfile,
            ),
            (
                "failed to solve with frontend dockerfile.v0: failed to build LLB: failed to compute cache key: \"/nope\" not found: not found",
                ErrorKind::BuildFailed,
            ),
            (
                "failed to solve with frontend dockerfile.v0: failed to create LLB definition: target stage nope could not be found",
                ErrorKind::NotFound,
            ),
            // 26.1, 28.5
            (
                "failed to solve: localhost:5000/none:1: failed to resolve source metadata for localhost:5000/none:1: localhost:5000/none:1: not found",
                ErrorKind::NotFound,
            ),
            (
                "failed to solve: failed to compute cache key: failed to calculate checksum of ref x::y: \"/nope\": not found",
                ErrorKind::BuildFailed,
            ),
            ("write /var/lib/docker/tmp/x: no space left on device", ErrorKind::Exhausted),
            ("transport error", ErrorKind::Unavailable),
        ] {
            assert_eq!(solve_failed(&Status::unknown(said), None).kind(), kind, "{said}");
        }
        assert_eq!(solve_failed(&Status::cancelled(""), None).kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn the_first_error_of_our_own_is_kept() {
        let noted = Noted::default();
        noted.note(Error::new(ErrorKind::InvalidInput, "first"));
        noted.note(Error::new(ErrorKind::Bug, "second"));
        assert_eq!(noted.take().map(|error| error.to_string()), Some("first".to_owned()));
    }
}
