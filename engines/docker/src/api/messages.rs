//! What the daemon reports while a build or a push is under way.

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_http::{HeldBody, Lines, lines};
use futures_util::StreamExt as _;
use serde::Deserialize;

/// One line of a report. Source: `pkg/jsonmessage` of Docker.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Message {
    /// Output of the builder and of its steps.
    pub(crate) stream: Option<String>,
    /// What is done.
    pub(crate) status: Option<String>,
    /// With what: a short layer id.
    pub(crate) id: Option<String>,
    /// How far it is.
    pub(crate) progress_detail: Option<ProgressDetail>,
    /// Why it failed.
    pub(crate) error_detail: Option<ErrorDetail>,
    /// Why it failed, from daemons that have no more to say.
    pub(crate) error: Option<String>,
    /// What came of it.
    pub(crate) aux: Option<Aux>,
}

/// How far something is, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ProgressDetail {
    pub(crate) current: Option<i64>,
    pub(crate) total: Option<i64>,
}

/// Why something failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorDetail {
    pub(crate) code: Option<i64>,
    pub(crate) message: Option<String>,
}

/// What came of a build (`ID`) or a push (`Digest`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Aux {
    #[serde(rename = "ID")]
    pub(crate) id: Option<String>,
    #[serde(rename = "Digest")]
    pub(crate) digest: Option<String>,
}

impl Message {
    /// Returns why the call failed, if the message says that it did.
    pub(crate) fn failure(&self) -> Option<&str> {
        let detail = self.error_detail.as_ref().and_then(|detail| detail.message.as_deref());
        detail.or(self.error.as_deref())
    }
}

/// The messages of a call, as they arrive. Dropping them closes the connection at once, which the
/// daemon takes for a cancel.
#[derive(Debug)]
pub(crate) struct Messages(Lines<HeldBody>);

impl Messages {
    pub(super) fn new(body: HeldBody) -> Self {
        Self(lines(body))
    }

    /// Returns the next message, or `None` when the call is over.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the connection breaks, [`ErrorKind::Protocol`] for what is no message.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>> {
        let Some(line) = self.0.next().await else { return Ok(None) };
        let line = line.map_err(broken)?;
        parse(&line).map(Some)
    }
}

fn broken(error: Error) -> Error {
    if error.kind() != ErrorKind::Unavailable {
        return error;
    }
    Error::new(ErrorKind::Unavailable, "the connection to the daemon broke")
        .with_source(error)
        .with_remedy("see the daemon's log, start the daemon again, and try again")
}

/// Reads one line of a report.
pub(crate) fn parse(line: &[u8]) -> Result<Message> {
    serde_json::from_slice(line).map_err(|error| {
        Error::new(ErrorKind::Protocol, "cannot read what the daemon reports").with_source(error)
    })
}
