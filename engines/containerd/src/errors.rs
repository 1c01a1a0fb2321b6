//! What containerd answers that is no success, as errors. Pure.

use boxwright_core::{Error, ErrorKind};
use tonic::{Code, Status};

/// What the user can do about a containerd that is gone.
const START: &str = "see whether it runs: `systemctl status containerd`";

/// Returns what makes an error of an answer, for `what` was attempted, such as "cannot list the images".
pub(crate) fn failed(what: impl Into<String>) -> impl FnOnce(Status) -> Error {
    let what = what.into();
    move |status| error(what, &status)
}

fn error(what: String, status: &Status) -> Error {
    let words = words(status);
    let error = Error::new(kind(status, &words), what).with_cause(words);
    match error.kind() {
        ErrorKind::Unavailable => error.with_remedy(START),
        ErrorKind::Exhausted => error.with_remedy("free some space on containerd's disk"),
        _ => error,
    }
}

fn kind(status: &Status, words: &str) -> ErrorKind {
    // It has no code of its own for a full disk.
    if ["no space left on device", "disk quota exceeded"].iter().any(|text| words.contains(text)) {
        return ErrorKind::Exhausted;
    }
    match status.code() {
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => ErrorKind::Conflict,
        Code::ResourceExhausted => ErrorKind::Exhausted,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::Unavailable,
        // A connection that breaks is `Unknown` or `Internal`, with words of the transport.
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => ErrorKind::Unavailable,
        _ if is_transport(status, words) => ErrorKind::Unavailable,
        _ => ErrorKind::Protocol,
    }
}

/// Returns whether the answer is the transport's own: containerd went away.
pub(crate) fn is_gone(status: &Status) -> bool {
    status.code() == Code::Unavailable || is_transport(status, status.message())
}

fn is_transport(status: &Status, words: &str) -> bool {
    let broken = [
        "transport error",
        "h2 protocol error",
        "broken pipe",
        "connection reset",
        "error reading a body",
    ];
    matches!(status.code(), Code::Unknown | Code::Internal)
        && broken.iter().any(|text| words.contains(text))
}

fn words(status: &Status) -> String {
    let message = status.message().trim();
    if message.is_empty() {
        return format!("containerd says no more than `{}`", status.code().description());
    }
    if is_gone(status) {
        return format!("containerd went away ({message})");
    }
    message.to_owned()
}

/// Returns the error for an answer that lacks what it must have.
pub(crate) fn incomplete(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, "cannot read containerd's answer")
        .with_cause(format!("it has no {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_kinds() {
        for (status, expected) in [
            (Status::not_found("image \"a\": not found"), ErrorKind::NotFound),
            (Status::already_exists("x"), ErrorKind::Conflict),
            (Status::failed_precondition("snapshot is in use"), ErrorKind::Conflict),
            (Status::unknown("write /x: no space left on device: unknown"), ErrorKind::Exhausted),
            (Status::unavailable("tcp connect error"), ErrorKind::Unavailable),
            (Status::unknown("transport error"), ErrorKind::Unavailable),
            (
                Status::internal("h2 protocol error: error reading a body from connection"),
                ErrorKind::Unavailable,
            ),
            (Status::unimplemented("unknown service"), ErrorKind::Unsupported),
            (Status::unknown("failed to mount"), ErrorKind::Protocol),
        ] {
            let error = failed("cannot do it")(status.clone());
            assert_eq!(error.kind(), expected, "{status:?}");
            assert!(!error.causes().is_empty(), "{status:?}");
        }
    }

    #[test]
    fn a_containerd_that_went_away_says_what_to_do() {
        let error = failed("cannot list the images")(Status::unavailable("connection refused"));
        assert_eq!(error.causes(), ["containerd went away (connection refused)"]);
        assert_eq!(error.remedy(), Some(START));
    }
}
