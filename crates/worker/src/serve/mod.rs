//! The worker's side: answers calls on one stream of bytes until it ends.

mod agents;
mod dispatch;
mod layers;
mod output;
mod run;
mod store;

use std::sync::Arc;
use std::time::Duration;

use boxwright_core::{Digest, Error, ErrorKind, Result, StepOutcome};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::protocol;
use crate::{Cancel, StepEvent, StepInput};

/// How long steps have to be undone when the client has gone away.
const UNDOING: Duration = Duration::from_secs(60);

/// What is served: layers, and steps on them. [`WorkerStore`](crate::WorkerStore) does it for real. All calls block.
pub(crate) trait Steps: Clone + Send + Sync + 'static {
    /// Returns how layers are stacked up, in a word.
    fn stacking(&self) -> &'static str;
    /// Returns whether files can belong to other users than the worker's own.
    fn has_owners(&self) -> bool;
    /// Returns which layers are not there.
    fn missing(&self, diff_ids: &[Digest]) -> Result<Vec<Digest>>;
    /// Keeps a layer.
    fn unpack(&self, diff_id: &Digest, tar: &mut dyn std::io::Read) -> Result<()>;
    /// Gives a layer that a step left.
    fn read_layer(&self, diff_id: &Digest) -> Result<Box<dyn std::io::Read + Send>>;
    /// Runs a step.
    fn run(
        &self,
        input: StepInput,
        events: &mut dyn FnMut(StepEvent<'_>),
        cancel: &Cancel,
    ) -> Result<StepOutcome>;
}

/// Answers the calls of one client on `stream` until it ends, then undoes the steps that still run and waits for
///
/// # Errors
///
/// [`ErrorKind::Protocol`] when the other side speaks something else, [`ErrorKind::Exhausted`] when a step cannot
/// be undone in time.
pub(crate) async fn serve<S: Steps>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    steps: S,
    settings: ServeSettings,
) -> Result<()> {
    let worker = Arc::new(dispatch::Worker::new(steps, settings));
    let answered = http2::Builder::new(TokioExecutor::new())
        .initial_connection_window_size(protocol::CONNECTION_WINDOW)
        .initial_stream_window_size(protocol::CALL_WINDOW)
        .max_frame_size(protocol::FRAME)
        .max_send_buf_size(protocol::SEND_BUFFER)
        .serve_connection(TokioIo::new(stream), dispatch::Dispatch(worker.clone()))
        .await;
    let undone = tokio::time::timeout(UNDOING, worker.runs.end_all()).await;
    undone.map_err(|_| {
        Error::new(ErrorKind::Exhausted, "cannot undo a step after its client went away")
            .with_cause(format!("it did not end within {} seconds", UNDOING.as_secs()))
    })?;
    answered.map_err(|error| {
        Error::new(ErrorKind::Protocol, "cannot serve the client").with_source(error)
    })
}

/// What the worker is told when it is started.
#[derive(Clone, Debug)]
pub(crate) struct ServeSettings {
    /// What a step's default network is.
    pub(crate) default_network: crate::DefaultNetwork,
    /// Where sockets of ssh agents are made.
    pub(crate) sockets: std::path::PathBuf,
}
