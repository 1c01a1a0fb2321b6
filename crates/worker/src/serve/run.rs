//! Runs steps: each in a thread of its own, its events as they come, its outcome last.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use boxwright_core::{Error, ErrorKind, Result, Secret, StepOutcome};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Steps;
use super::dispatch::Worker;
use super::output::Relay;
use crate::protocol::failure::to_status;
use crate::protocol::messages::{Outcome, RunEvent, RunEventKind, RunRequest};
use crate::protocol::step;
use crate::{Cancel, StepInput};

/// How many messages wait between a step and the stream.
const WAITING: usize = 2;

/// The steps that run now, by the numbers that the client gave them.
#[derive(Debug, Default)]
pub(super) struct Runs {
    running: Mutex<HashMap<u64, Cancel>>,
    ended: Notify,
}

impl Runs {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Cancel>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, run: u64, cancel: &Cancel) -> Result<()> {
        match self.lock().entry(run) {
            Entry::Vacant(place) => {
                place.insert(cancel.clone());
                Ok(())
            }
            Entry::Occupied(_) => {
                let message = format!("the client gave two steps the number {run}");
                Err(Error::new(ErrorKind::Protocol, message))
            }
        }
    }

    fn end(&self, run: u64) {
        self.lock().remove(&run);
        self.ended.notify_waiters();
    }

    /// Asks the step `run` to end, if it runs.
    pub(super) fn cancel(&self, run: u64) {
        if let Some(cancel) = self.lock().get(&run) {
            cancel.cancel();
        }
    }

    /// Asks every step to end, and waits until all are undone.
    pub(super) async fn end_all(&self) {
        loop {
            let ended = self.ended.notified();
            {
                let running = self.lock();
                if running.is_empty() {
                    return;
                }
                running.values().for_each(Cancel::cancel);
            }
            ended.await;
        }
    }
}

/// Starts the step of `request`, and returns the stream of its events. Its outcome is the last of them. When the
/// stream is dropped, the step is ended.
pub(super) fn run<S: Steps>(
    worker: Arc<Worker<S>>,
    request: RunRequest,
) -> Result<ReceiverStream<Result<RunEvent, Status>>, Status> {
    let (outgoing, incoming) = mpsc::channel(WAITING);
    let number = request.run;
    let begun = begin(&worker, request, &outgoing).map_err(|error| to_status(&error))?;
    tokio::spawn(async move {
        let Begun { input, cancel, listening } = begun;
        let relay = Arc::new(Relay::default());
        let running = {
            let (relay, cancel, steps) = (relay.clone(), cancel.clone(), worker.steps.clone());
            boxwright_image::pipe::blocking(move || {
                let finish = Finish(&relay);
                steps.run(input, &mut |event| finish.0.push(event), &cancel)
            })
        };
        let running = tokio::spawn(running);
        tokio::select! {
            () = relay.forward(&outgoing) => {}
            () = outgoing.closed() => {}
        }
        if outgoing.is_closed() {
            cancel.cancel();
            relay.deafen();
        }
        let outcome = running.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Bug, "a step's thread ended before it").with_source(error))
        });
        drop(listening);
        worker.runs.end(number);
        let last = outcome.map(outcome_event).map_err(|error| to_status(&error));
        // Nobody may be there any more to hear how it ended.
        let _ = outgoing.send(last).await;
    });
    Ok(ReceiverStream::new(incoming))
}

/// Says that a step tells no more, also when its thread panics.
struct Finish<'r>(&'r Relay);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

struct Begun {
    input: StepInput,
    cancel: Cancel,
    listening: super::agents::Listening,
}

fn begin<S: Steps>(
    worker: &Arc<Worker<S>>,
    request: RunRequest,
    outgoing: &mpsc::Sender<Result<RunEvent, Status>>,
) -> Result<Begun> {
    let message = request.step.ok_or_else(|| {
        Error::new(ErrorKind::Protocol, "the client asks to run a step and describes none")
    })?;
    let mut input = StepInput::new(step::from_message(message)?);
    input.secrets =
        request.secrets.into_iter().map(|secret| (secret.id, Secret::new(secret.value))).collect();
    input.default_network = worker.settings.default_network;
    input.ca_bundle = request.ca_bundle;
    let listening =
        worker.agents.listen(&request.agents, &worker.settings.sockets, outgoing.clone())?;
    input.ssh = listening.sockets();
    let cancel = Cancel::new()?;
    worker.runs.begin(request.run, &cancel)?;
    Ok(Begun { input, cancel, listening })
}

fn outcome_event(outcome: StepOutcome) -> RunEvent {
    let (diff_id, size) =
        outcome.layer.map_or((String::new(), 0), |layer| (layer.diff_id.into(), layer.size));
    let outcome = Outcome { exit_code: outcome.exit_code, diff_id, size };
    RunEvent { kind: Some(RunEventKind::Outcome(outcome)) }
}
