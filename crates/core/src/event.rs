//! What happens during a call, pushed by engines and pulled by callers.

use serde::{Serialize, Serializer};
use tokio::sync::mpsc;

/// The number of a step within one build, counted from 0 in the order of their announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

/// Which output stream some bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum StepResult {
    /// It ran.
    Done,
    /// Its result was there already.
    Cached,
    /// It failed.
    Failed {
        /// Why, on one line.
        error: String,
        /// The exit status of the command, where one ran.
        exit_code: Option<i64>,
    },
    /// Another step failed, or the build was cancelled.
    Cancelled,
}

/// One thing that happened during a call. The outcome is the result of the call itself.
///
/// The JSON form, one object a line, is documented in `docs/reference/events.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A step begins, or its cached result was found.
    StepStarted {
        /// The step.
        step: StepId,
        /// What it does, as its builder words it, e.g. `[2/5] RUN make`.
        name: String,
    },
    /// A step wrote output.
    StepLog {
        /// The step, as announced by `StepStarted`.
        step: StepId,
        /// Where it was written.
        stream: OutputStream,
        /// What it wrote. May end inside a UTF-8 sequence; in JSON as text, with U+FFFD for what is not UTF-8.
        #[serde(serialize_with = "as_text")]
        bytes: Vec<u8>,
    },
    /// A part of a step moved on, such as a layer that is pulled.
    StepProgress {
        /// The step, as announced by `StepStarted`.
        step: StepId,
        /// What moves, e.g. `sha256:9f86…` or `transferring context`.
        item: String,
        /// How much is done, in bytes.
        current: u64,
        /// How much there is, in bytes, where that is known.
        total: Option<u64>,
    },
    /// A step ended.
    StepFinished {
        /// The step, as announced by `StepStarted`.
        step: StepId,
        /// How.
        #[serde(flatten)]
        result: StepResult,
    },
    /// A push, pull, export or import moved on.
    Transfer {
        /// What moves: a layer's digest or short id, or the name of a phase.
        item: String,
        /// What is done with it, e.g. `pushing`, `already there`.
        status: String,
        /// How much is done, in bytes.
        current: Option<u64>,
        /// How much there is, in bytes.
        total: Option<u64>,
    },
    /// A command that runs in an image wrote output.
    Output {
        /// Where it was written.
        stream: OutputStream,
        /// What it wrote.
        #[serde(serialize_with = "as_text")]
        bytes: Vec<u8>,
    },
    /// Something was decided that the user may want to know, e.g. that a `# syntax=` line is ignored.
    Notice {
        /// What, on one line.
        message: String,
    },
    /// Something is probably not what the user wants.
    Warning {
        /// What, on one line.
        message: String,
        /// What to do about it.
        remedy: Option<String>,
    },
}

fn as_text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

/// Where engines report what happens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventSink(Option<mpsc::Sender<Event>>);

impl EventSink {
    /// Returns a sink whose events go nowhere.
    #[must_use]
    pub fn discard() -> Self {
        Self(None)
    }

    /// Returns a sink, and the receiver of what is reported to it. At most 256 events wait between them.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(256);
        (Self(Some(sender)), receiver)
    }

    /// Reports `event`, waiting while the reader is behind. When the reader is
    /// gone the event is discarded: losing the audience must not fail a build.
    pub async fn emit(&self, event: Event) {
        if let Some(sender) = &self.0 {
            // A closed channel is a reader that left, see above.
            let _ = sender.send(event).await;
        }
    }

    /// Reports a [`Event::Notice`].
    pub async fn notice(&self, message: impl Into<String>) {
        self.emit(Event::Notice { message: message.into() }).await;
    }

    /// Reports a [`Event::Warning`] with what to do about it.
    pub async fn warn(&self, message: impl Into<String>, remedy: Option<&str>) {
        let remedy = remedy.map(str::to_owned);
        self.emit(Event::Warning { message: message.into(), remedy }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_event_first_and_text_as_text() {
        let event = Event::StepLog {
            step: StepId(3),
            stream: OutputStream::Stdout,
            bytes: b"hi\xff".to_vec(),
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"event":"step-log","step":3,"stream":"stdout","bytes":"hi�"}"#
        );
        let result = StepResult::Failed { error: "no".into(), exit_code: Some(42) };
        assert_eq!(
            serde_json::to_string(&Event::StepFinished { step: StepId(0), result }).unwrap(),
            r#"{"event":"step-finished","step":0,"outcome":"failed","error":"no","exit_code":42}"#
        );
    }

    #[tokio::test]
    async fn a_reader_that_left_does_not_stop_the_writer() {
        let (sink, receiver) = EventSink::channel();
        drop(receiver);
        sink.notice("nobody listens").await;
    }
}
