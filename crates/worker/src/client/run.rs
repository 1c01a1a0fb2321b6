//! One step: its layers, its events, its outcome.

use std::sync::atomic::Ordering;
use std::time::Duration;

use boxwright_core::{
    BlobStore, Error, ErrorKind, Event, MountSource, Result, Session, Step, StepLayer, StepOutcome,
    StepRunner, async_trait,
};
use tokio::task::JoinSet;
use tonic::Streaming;

use super::{WorkerClient, agents};
use crate::protocol::failure::from_status;
use crate::protocol::messages::{
    CancelRequest, Nothing, Outcome, RunEvent, RunEventKind, RunRequest, SecretMessage, Warning,
};
use crate::protocol::{call, step as steps};

/// How long the worker has to undo a step that was cancelled.
const UNDOING: Duration = Duration::from_secs(60);

#[async_trait]
impl StepRunner for WorkerClient {
    async fn run(
        &self,
        step: &Step,
        blobs: &dyn BlobStore,
        session: &Session,
    ) -> Result<StepOutcome> {
        let outcome = self.outcome(step, blobs, session).await?;
        if outcome.exit_code != 0 || outcome.diff_id.is_empty() {
            return Ok(StepOutcome::new(outcome.exit_code, None));
        }
        let diff_id = steps::digest(&outcome.diff_id)?;
        let layer = StepLayer { diff_id, size: outcome.size };
        session.cancellable(self.fetch(&layer, blobs)).await?;
        Ok(StepOutcome::new(0, Some(layer)))
    }
}

impl WorkerClient {
    /// Runs `step` as [`StepRunner::run`] does, returns its exit status, and leaves what it changed where it is.
    ///
    /// # Errors
    ///
    /// As [`StepRunner::run`].
    pub async fn run_discarding(
        &self,
        step: &Step,
        blobs: &dyn BlobStore,
        session: &Session,
    ) -> Result<i32> {
        Ok(self.outcome(step, blobs, session).await?.exit_code)
    }

    async fn outcome(
        &self,
        step: &Step,
        blobs: &dyn BlobStore,
        session: &Session,
    ) -> Result<Outcome> {
        session.cancellable(self.provide(step, blobs)).await?;
        let run = self.0.next_run.fetch_add(1, Ordering::Relaxed);
        let request = self.request(run, step, session);
        let mut events = self.0.calls.server_streaming(call::RUN, request).await?;
        self.follow(run, step, &mut events, session).await
    }

    /// Describes `step` with the secrets and agents of `session` that it mounts, and no others.
    fn request(&self, run: u64, step: &Step, session: &Session) -> RunRequest {
        let mut secrets: Vec<&str> = step.secret_environment.values().map(String::as_str).collect();
        let mut agents = Vec::new();
        for mount in &step.mounts {
            match &mount.source {
                MountSource::Secret { id, .. } => secrets.push(id),
                MountSource::Ssh { id, .. } if session.ssh_agents.contains_key(id) => {
                    agents.push(id.clone());
                }
                _ => {}
            }
        }
        secrets.sort_unstable();
        secrets.dedup();
        agents.sort_unstable();
        agents.dedup();
        let value = |id: &str| {
            let value = session.secrets.get(id)?.expose().to_vec();
            Some(SecretMessage { id: id.to_owned(), value })
        };
        RunRequest {
            run,
            step: Some(steps::to_message(step)),
            secrets: secrets.into_iter().filter_map(value).collect(),
            agents,
            ca_bundle: session.ca_bundle.as_ref().map(|bundle| bundle.pem().to_vec()),
        }
    }

    /// Relays the events of a step until its outcome. When the session is cancelled, has the step ended and waits
    /// until it is undone.
    async fn follow(
        &self,
        run: u64,
        step: &Step,
        events: &mut Streaming<RunEvent>,
        session: &Session,
    ) -> Result<Outcome> {
        // Agents are connected as long as the step runs.
        let mut connections = JoinSet::new();
        let relay = async {
            loop {
                let event = events.message().await.map_err(|status| from_status(&status))?;
                match event.and_then(|event| event.kind) {
                    Some(RunEventKind::Outcome(outcome)) => return Ok(outcome),
                    Some(RunEventKind::Output(output)) => {
                        let stream = steps::output_stream(&output);
                        let bytes = output.bytes;
                        let event = Event::StepLog { step: step.id, stream, bytes };
                        tell(session, event).await;
                    }
                    Some(RunEventKind::Warning(warning)) => {
                        let Warning { message, remedy } = warning;
                        tell(session, Event::Warning { message, remedy }).await;
                    }
                    Some(RunEventKind::AgentWanted(wanted)) => {
                        let calls = self.0.calls.clone();
                        connections.spawn(agents::serve(calls, wanted, session.clone()));
                    }
                    None => {
                        return Err(Error::new(
                            ErrorKind::Protocol,
                            "the worker ended a step without an outcome",
                        ));
                    }
                }
            }
        };
        tokio::pin!(relay);
        tokio::select! {
            biased;
            () = session.cancel.cancelled() => {}
            outcome = &mut relay => return outcome,
        }
        let undone = async {
            let asked = self.0.calls.unary::<_, Nothing>(call::CANCEL, CancelRequest { run }).await;
            // A worker that cannot be asked is gone, and the step with it.
            if asked.is_ok() {
                let _ = relay.await;
            }
        };
        match tokio::time::timeout(UNDOING, undone).await {
            Ok(()) => Err(Session::cancelled()),
            Err(_) => Err(Session::cancelled().with_cause(format!(
                "and the step was not undone within {} seconds",
                UNDOING.as_secs()
            ))),
        }
    }
}

/// Reports `event`, unless the session is cancelled: who has cancelled need not listen any more.
async fn tell(session: &Session, event: Event) {
    tokio::select! {
        () = session.events.emit(event) => {}
        () = session.cancel.cancelled() => {}
    }
}
