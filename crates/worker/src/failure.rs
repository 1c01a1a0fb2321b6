//! The errors of failed system calls.

use std::io;
use std::path::Path;

use boxwright_core::{Error, ErrorKind};

/// Returns the error of work on `path` that failed, e.g. of `cannot read`.
pub(crate) fn on_path(message: &str, path: &Path, error: impl Into<io::Error>) -> Error {
    system(&format!("{message} `{}`", path.display()), error)
}

/// Returns the error of a system call that failed. What a reader of ours put inside comes out again.
pub(crate) fn system(message: &str, error: impl Into<io::Error>) -> Error {
    let error = match error.into().downcast::<Error>() {
        Ok(error) => return error,
        Err(error) => error,
    };
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::new(ErrorKind::Exhausted, message)
                .with_source(error)
                .with_remedy("free some space there, or choose another place for the store")
        }
        io::ErrorKind::OutOfMemory => Error::new(ErrorKind::Exhausted, message).with_source(error),
        _ => Error::new(ErrorKind::Unavailable, message).with_source(error),
    }
}
