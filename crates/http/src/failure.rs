//! What hyper's errors mean to whoever asked.

use boxwright_core::{Error, ErrorKind};

use crate::endpoint::Endpoint;
use crate::tolerant::is_hang_up;

const LOOK: &str = "see whether the engine's service still runs, and what its log says";

/// Says why no answer came.
pub(crate) fn no_answer(endpoint: &Endpoint, error: hyper::Error) -> Error {
    if error.is_user() {
        return Error::new(ErrorKind::InvalidInput, "cannot read what is to be sent")
            .with_source(error);
    }
    if error.is_parse() {
        return Error::new(ErrorKind::Protocol, format!("`{endpoint}` does not speak HTTP"))
            .with_source(error)
            .with_remedy("name the socket or port of a container engine");
    }
    let failure = Error::new(ErrorKind::Unavailable, format!("no answer from `{endpoint}`"))
        .with_remedy(LOOK);
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    let is_cut = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
    if is_cut || source.is_some_and(is_hang_up) {
        failure.with_cause("it closed the connection before it answered")
    } else {
        failure.with_source(error)
    }
}

/// Says why an answer broke off.
pub(crate) fn broken_answer(error: hyper::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the answer broke off").with_source(error).with_remedy(LOOK)
}
