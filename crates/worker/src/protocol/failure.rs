//! Errors of the workspace across the stream: what happened, why, with what, and what to do.

use boxwright_core::{Error, ErrorKind};
use prost::Message as _;
use tonic::{Code, Status};

use super::messages::{Fact, Failure};

/// The most bytes that one text of an error may have: together they travel in a header block.
const TEXT: usize = 900;
/// The most causes and facts of an error.
const TEXTS: usize = 4;

/// Every kind that an error may have on the way.
const KINDS: [ErrorKind; 12] = [
    ErrorKind::Unsupported,
    ErrorKind::Unavailable,
    ErrorKind::InvalidInput,
    ErrorKind::InvalidDockerfile,
    ErrorKind::NotFound,
    ErrorKind::Unauthorized,
    ErrorKind::BuildFailed,
    ErrorKind::Cancelled,
    ErrorKind::Exhausted,
    ErrorKind::Conflict,
    ErrorKind::Protocol,
    ErrorKind::Bug,
];

/// The names of facts that errors carry: theirs are static, so those from elsewhere need a place here.
const FACTS: [&str; 8] =
    ["step", "exit code", "path", "layer", "digest", "mount", "program", "folder"];

/// Returns the status that carries `error`.
pub(crate) fn to_status(error: &Error) -> Status {
    let failure = Failure {
        kind: error.kind().as_str().to_owned(),
        message: cut(&error.to_string()),
        causes: error.causes().iter().take(TEXTS).map(|cause| cut(cause)).collect(),
        context: error
            .context()
            .iter()
            .take(TEXTS)
            .map(|(name, value)| Fact { name: (*name).to_owned(), value: cut(value) })
            .collect(),
        remedy: error.remedy().map(cut),
    };
    // The message is for whoever looks at the stream with other tools.
    Status::with_details(code(error.kind()), error.kind().as_str(), failure.encode_to_vec().into())
}

/// Returns the error that `status` carries, or one that says that the worker broke off.
pub(crate) fn from_status(status: &Status) -> Error {
    let details = (!status.details().is_empty()).then(|| Failure::decode(status.details()).ok());
    match details.flatten() {
        Some(failure) => from_failure(failure),
        None if status.code() == Code::Unimplemented => {
            Error::new(ErrorKind::Protocol, "the worker does not know this call")
                .with_cause(cut(status.message()))
        }
        None => {
            let error = Error::new(ErrorKind::Unavailable, "the connection to the worker broke");
            match std::error::Error::source(status).map(chain) {
                Some(cause) if !cause.is_empty() => error.with_cause(cause),
                _ => error.with_cause(cut(status.message())),
            }
        }
    }
}

/// Returns an error and its sources on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

fn from_failure(failure: Failure) -> Error {
    let kind = KINDS.into_iter().find(|kind| kind.as_str() == failure.kind);
    let mut error = Error::new(kind.unwrap_or(ErrorKind::Protocol), failure.message);
    let mut causes = failure.causes;
    for Fact { name, value } in failure.context {
        match FACTS.into_iter().find(|known| *known == name) {
            Some(name) => error = error.with_context(name, value),
            None => causes.push(format!("{name}: {value}")),
        }
    }
    if let Some(cause) = Cause::of(causes) {
        error = error.with_source(cause);
    }
    match failure.remedy {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}

/// Causes that came as text, one behind the other.
#[derive(Debug)]
struct Cause {
    text: String,
    next: Option<Box<Self>>,
}

impl Cause {
    fn of(texts: Vec<String>) -> Option<Self> {
        let link = |next: Option<Self>, text| Some(Self { text, next: next.map(Box::new) });
        texts.into_iter().rev().fold(None, link)
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.next.as_deref().map(|next| next as &(dyn std::error::Error + 'static))
    }
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT {
        return text.to_owned();
    }
    let end = (0..=TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}…", &text[..end])
}

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::InvalidInput | ErrorKind::InvalidDockerfile => Code::InvalidArgument,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Bug => Code::Internal,
        _ => Code::FailedPrecondition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_crosses_with_all_that_it_says() {
        for kind in KINDS {
            let inner = Error::new(ErrorKind::Bug, "the innermost").with_cause("the very bottom");
            let error = Error::new(kind, "cannot unpack")
                .with_source(inner)
                .with_context("exit code", "7")
                .with_context("something new", "8")
                .with_remedy("free some space");
            let crossed = from_status(&to_status(&error));
            assert_eq!((crossed.kind(), crossed.to_string()), (kind, error.to_string()));
            assert_eq!(crossed.causes(), ["the innermost", "the very bottom", "something new: 8"]);
            assert_eq!(crossed.context(), [("exit code", "7".to_owned())]);
            assert_eq!(crossed.remedy(), Some("free some space"));
        }
    }

    #[test]
    fn an_error_of_any_length_fits_into_a_header_block() {
        let long = "ä".repeat(100_000);
        let mut error = Error::new(ErrorKind::Protocol, long.clone()).with_cause(long.clone());
        for _ in 0..50 {
            error = error.with_context("path", long.clone());
        }
        assert!(to_status(&error).details().len() < 10 << 10);
    }

    #[test]
    fn a_status_without_details_is_a_connection_that_broke() {
        let error = from_status(&Status::unknown("stream closed"));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.causes(), ["stream closed"]);
    }
}
