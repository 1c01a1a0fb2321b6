//! The record of what an engine reported during a call.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boxwright_core::{Event, EventSink, OutputStream, StepId, StepResult};
use tokio::sync::Notify;

/// How long events that an engine still holds are waited for after a call.
const LIMIT: Duration = Duration::from_secs(5);

/// Records events while a call runs.
#[derive(Debug)]
pub struct Recorder {
    sink: EventSink,
    events: Arc<Mutex<Vec<Event>>>,
    more: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Recorder {
    /// Starts to record.
    #[must_use]
    pub fn start() -> Self {
        let (sink, mut receiver) = EventSink::channel();
        let (events, more) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (into, notify) = (events.clone(), more.clone());
        let task = tokio::spawn(async move {
            while let Some(event) = receiver.recv().await {
                into.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                notify.notify_waiters();
            }
        });
        Self { sink, events, more, task }
    }

    /// Returns the sink that is recorded.
    #[must_use]
    pub fn sink(&self) -> EventSink {
        self.sink.clone()
    }

    /// Returns what was recorded so far.
    #[must_use]
    pub fn so_far(&self) -> Log {
        Log(self.events.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Waits until what was recorded so far fulfils `condition`.
    pub async fn wait_for(&self, condition: impl Fn(&Log) -> bool) {
        loop {
            let next = self.more.notified();
            tokio::pin!(next);
            // Enabled before the look, so that nothing falls between the two.
            next.as_mut().enable();
            if condition(&self.so_far()) {
                return;
            }
            next.await;
        }
    }

    /// Ends the record once nobody holds a sink any more, and returns it.
    pub async fn finish(self) -> Log {
        let Self { sink, events, task, .. } = self;
        drop(sink);
        let abort = task.abort_handle();
        if tokio::time::timeout(LIMIT, task).await.is_err() {
            abort.abort();
        }
        let events = std::mem::take(&mut *events.lock().unwrap_or_else(PoisonError::into_inner));
        Log(events)
    }
}

/// What was reported during a call, in order.
#[derive(Clone, Debug, Default)]
pub struct Log(pub Vec<Event>);

impl Log {
    /// Returns everything that steps wrote.
    #[must_use]
    pub fn step_output(&self) -> String {
        let bytes = self.0.iter().filter_map(|event| match event {
            Event::StepLog { bytes, .. } => Some(bytes.as_slice()),
            _ => None,
        });
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>().concat()).into_owned()
    }

    /// Returns what a command that ran in an image wrote to one of its streams.
    #[must_use]
    pub fn output(&self, wanted: OutputStream) -> String {
        let bytes = self.0.iter().filter_map(|event| match event {
            Event::Output { stream, bytes } if *stream == wanted => Some(bytes.as_slice()),
            _ => None,
        });
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>().concat()).into_owned()
    }

    /// Returns how the first step whose name contains `words` ended.
    #[must_use]
    pub fn result_of(&self, words: &str) -> Option<&StepResult> {
        let wanted = self.0.iter().find_map(|event| match event {
            Event::StepStarted { step, name } if name.contains(words) => Some(*step),
            _ => None,
        })?;
        self.0.iter().find_map(|event| match event {
            Event::StepFinished { step, result } if *step == wanted => Some(result),
            _ => None,
        })
    }

    /// Returns the steps that began and never ended.
    #[must_use]
    pub fn unfinished(&self) -> Vec<StepId> {
        let started = self.0.iter().filter_map(|event| match event {
            Event::StepStarted { step, .. } => Some(*step),
            _ => None,
        });
        let ended = |id: &StepId| {
            self.0
                .iter()
                .any(|event| matches!(event, Event::StepFinished { step, .. } if step == id))
        };
        started.filter(|id| !ended(id)).collect()
    }

    /// Returns all of it as a text that people can read, one event a line.
    #[must_use]
    pub fn as_text(&self) -> String {
        let mut text = String::new();
        for event in &self.0 {
            // Writing to a string cannot fail.
            let _ = match event {
                Event::StepLog { step, bytes, .. } => {
                    write!(text, "#{} | {}", step.0, String::from_utf8_lossy(bytes))
                }
                Event::Output { stream, bytes } => {
                    write!(text, "{stream:?}: {}", String::from_utf8_lossy(bytes))
                }
                other => match serde_json::to_string(other) {
                    Ok(json) => write!(text, "{json}"),
                    Err(error) => write!(text, "{error}"),
                },
            };
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_what_was_reported_until_the_end() {
        let recorder = Recorder::start();
        let sink = recorder.sink();
        let writer = async {
            for n in 0..1_000 {
                sink.notice(format!("{n}")).await;
            }
            drop(sink);
        };
        tokio::join!(writer, recorder.wait_for(|log| log.0.len() >= 1_000));
        assert_eq!(recorder.finish().await.0.len(), 1_000);
    }

    #[test]
    fn finds_how_a_step_ended_by_its_name() {
        let step = StepId(4);
        let log = Log(vec![
            Event::StepStarted { step, name: "[2/3] RUN make".into() },
            Event::StepFinished { step, result: StepResult::Cached },
            Event::StepStarted { step: StepId(5), name: "export".into() },
        ]);
        assert_eq!(log.result_of("RUN make"), Some(&StepResult::Cached));
        assert_eq!(log.unfinished(), [StepId(5)]);
    }
}
