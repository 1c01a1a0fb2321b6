//! Runs the steps of a build in the worker instance, in a session of the build's own.

use async_trait::async_trait;
use boxwright_core::{BlobStore, Error, ErrorKind, Result, Session, Step, StepOutcome, StepRunner};
use boxwright_worker::WorkerClient;
use tokio::sync::Mutex;

use crate::api::exec::Ending;
use crate::api::wire::Instance;
use crate::worker::Workers;

/// A session with the worker that begins with the first step. It ends with this value, and with it all that it runs.
#[derive(Debug)]
pub(crate) struct Runner {
    workers: Workers,
    open: Mutex<Option<Open>>,
}

/// A session under way.
#[derive(Debug)]
struct Open {
    client: WorkerClient,
    instance: String,
    /// Holds the websockets.
    _ending: Ending,
}

impl Runner {
    pub(crate) fn new(workers: Workers) -> Self {
        Self { workers, open: Mutex::new(None) }
    }

    /// Returns the session's client and instance. Steps that begin at once share the session.
    async fn client(&self, session: &Session) -> Result<(WorkerClient, String)> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open {
            return Ok((open.client.clone(), open.instance.clone()));
        }
        let started = session.cancellable(self.workers.session(session)).await?;
        let (instance, running) = started;
        let (stream, ending) = running.into_parts();
        let connect = WorkerClient::connect(stream);
        let client = match session.cancellable(connect).await {
            Ok(client) => client,
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
            Err(error) => return Err(self.told(error, ending, &instance).await),
        };
        *open = Some(Open { client: client.clone(), instance: instance.clone(), _ending: ending });
        Ok((client, instance))
    }

    /// Adds what the program itself said.
    async fn told(&self, error: Error, ending: Ending, instance: &str) -> Error {
        let error = error.with_context("instance", instance);
        match ending.wait("the worker ended").await {
            Ok(ended) if !ended.errors.is_empty() => error.with_context("worker", ended.errors),
            _ => error,
        }
    }

    /// Says what became of the instance when a session broke off.
    async fn broken(&self, error: Error, name: &str) -> Error {
        // The next step gets another one.
        *self.open.lock().await = None;
        let path = format!("/1.0/instances/{name}");
        let found = self.workers.api.get::<Instance>(&path, "cannot find the worker").await;
        let cause = match found {
            Ok(instance) if instance.status == "Running" => {
                return error.with_context("instance", name);
            }
            Ok(_) => "somebody stopped it",
            Err(other) if other.kind() == ErrorKind::NotFound => "somebody deleted it",
            Err(other) => return other.with_context("instance", name),
        };
        Error::new(ErrorKind::Unavailable, format!("the worker instance `{name}` is gone"))
            .with_cause(cause)
            .with_remedy(
                "build again: a new one is made, and steps that were done are not run again",
            )
    }
}

#[async_trait]
impl StepRunner for Runner {
    async fn run(
        &self,
        step: &Step,
        blobs: &dyn BlobStore,
        session: &Session,
    ) -> Result<StepOutcome> {
        let (client, instance) = self.client(session).await?;
        match client.run(step, blobs, session).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                Err(self.broken(error, &instance).await)
            }
            other => other,
        }
    }
}
