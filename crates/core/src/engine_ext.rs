//! Conveniences on any engine, derived from the contract.

use std::pin::Pin;

use tokio::sync::mpsc;

use crate::engine::Engine;
use crate::error::Result;
use crate::event::{Event, EventSink};
use crate::request::{BuildOutput, BuildRequest};
use crate::session::Session;

/// What every [`Engine`] can do besides.
pub trait EngineExt: Engine {
    /// Starts a build whose events are pulled from the stream that it returns. The session's own
    /// event sink is not used. Dropping the stream cancels the build as dropping a future does.
    fn build_stream<'a>(&'a self, request: &'a BuildRequest, session: &Session) -> BuildStream<'a> {
        let (sink, events) = EventSink::channel();
        let session = session.clone().with_events(sink);
        let call = async move { self.build(request, &session).await };
        BuildStream { events, call: Some(Box::pin(call)), result: None }
    }
}

impl<E: Engine + ?Sized> EngineExt for E {}

type Call<'a> = Pin<Box<dyn Future<Output = Result<BuildOutput>> + Send + 'a>>;

/// A build under way, as [`EngineExt::build_stream`] starts it.
pub struct BuildStream<'a> {
    events: mpsc::Receiver<Event>,
    call: Option<Call<'a>>,
    result: Option<Result<BuildOutput>>,
}

impl BuildStream<'_> {
    /// Returns the next event, or `None` once the build is over.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let Some(call) = &mut self.call else { return self.events.recv().await };
            tokio::select! {
                biased;
                event = self.events.recv() => return event,
                result = call => {
                    self.result = Some(result);
                    // The call holds the sink; without it the channel ends after what waits in it.
                    self.call = None;
                }
            }
        }
    }

    /// Waits for the end, discarding unread events, and returns the outcome.
    ///
    /// # Errors
    ///
    /// What [`Engine::build`] fails with.
    pub async fn outcome(mut self) -> Result<BuildOutput> {
        while self.next().await.is_some() {}
        match self.result.take() {
            Some(result) => result,
            None => Err(Session::cancelled()),
        }
    }
}

impl std::fmt::Debug for BuildStream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildStream").field("result", &self.result).finish_non_exhaustive()
    }
}
