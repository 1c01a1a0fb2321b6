//! Why a request came to nothing, and whether it is worth repeating.

use std::error::Error as StdError;
use std::time::Duration;

use boxwright_core::{Error, ErrorKind};
use reqwest::StatusCode;

/// Why a request came to nothing. Its message is a clause: the cause in the error that users see.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) why: Error,
    pub(crate) status: Option<StatusCode>,
    pub(crate) retry: Retry,
    /// Whether the other side does not speak TLS at all.
    pub(crate) is_not_tls: bool,
    /// Whether the answer was an HTML page, so that its status is hardly a registry's.
    pub(crate) is_page: bool,
}

/// Whether a request is worth repeating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It would fail again.
    Never,
    /// After a pause of our own choice.
    Soon,
    /// After the pause that the registry asked for.
    After(Duration),
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: ErrorKind, cause: impl Into<String>) -> Self {
        Self {
            why: Error::new(kind, cause),
            status: None,
            retry: Retry::Never,
            is_not_tls: false,
            is_page: false,
        }
    }

    /// Returns a failure of the kind `Protocol`: the registry answered something unintelligible.
    pub(crate) fn protocol(cause: impl Into<String>) -> Self {
        Self::new(ErrorKind::Protocol, cause)
    }

    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.why = self.why.with_remedy(remedy.into());
        self
    }

    pub(crate) fn with_detail(
        mut self,
        detail: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.why = self.why.with_source(detail);
        self
    }

    pub(crate) fn with_fact(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.why = self.why.with_context(name, value);
        self
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    pub(crate) fn is(&self, status: StatusCode) -> bool {
        self.status == Some(status)
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.why.kind()
    }

    /// Returns the error of an operation, as `cannot pull …`.
    pub(crate) fn during(self, message: impl Into<String>) -> Error {
        let remedy = self.why.remedy().map(str::to_owned);
        let facts = self.why.context().to_vec();
        let mut error = Error::new(self.why.kind(), message).with_source(self.why);
        for (name, value) in facts {
            error = error.with_context(name, value);
        }
        match remedy {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(why: Error) -> Self {
        Self { why, status: None, retry: Retry::Never, is_not_tls: false, is_page: false }
    }
}

/// Finds an error of the type `T` in a chain of errors, also inside of `io::Error`s.
pub(crate) fn find<'e, T: StdError + 'static>(
    error: &'e (dyn StdError + 'static),
) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An `io::Error` gives the source of what it holds, and not what it holds itself.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(held) = held {
            return find::<T>(held);
        }
        next = error.source();
    }
    None
}
