//! What a step tells, on its way from the thread that runs it to the client.
//!
//! The client may be slow, so the step waits once some output is under way. And the client may be fast while the
//! step writes byte by byte: then what comes within a few milliseconds goes as one message, since a message of its
//! own for each byte costs a thousand times the byte.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use boxwright_core::OutputStream;
use tokio::sync::{Notify, mpsc};
use tonic::Status;

use crate::StepEvent;
use crate::protocol::messages::{RunEvent, RunEventKind, Warning};
use crate::protocol::step::output_message;

/// How many bytes wait at most before the step does.
const WAITING: usize = 1 << 20;
/// The most bytes of one message. A client keeps hundreds of them for a reader that is slow.
const MESSAGE: usize = 64 << 10;
/// Below this many bytes in a message, the next one waits a little for more.
const SMALL: usize = 16 << 10;
/// How long it waits.
const GATHER: Duration = Duration::from_millis(4);

/// Between the thread of a step and the stream of its answers.
#[derive(Debug, Default)]
pub(super) struct Relay {
    state: Mutex<State>,
    more: Notify,
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Piece>,
    bytes: usize,
    /// Nothing more comes.
    finished: bool,
    /// Nobody listens any more.
    deaf: bool,
}

#[derive(Debug)]
enum Piece {
    Output(OutputStream, Vec<u8>),
    Warning(String),
}

impl Relay {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the step tells. Waits while too much is under way.
    pub(super) fn push(&self, event: StepEvent<'_>) {
        let mut state = self.lock();
        while state.bytes >= WAITING && !state.deaf {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.deaf {
            return;
        }
        match event {
            StepEvent::Warning(message) => {
                state.waiting.push_back(Piece::Warning(message.to_owned()));
            }
            StepEvent::Output(stream, bytes) => {
                state.bytes += bytes.len();
                match state.waiting.back_mut() {
                    Some(Piece::Output(last, kept))
                        if *last == stream && kept.len() + bytes.len() <= MESSAGE =>
                    {
                        kept.extend_from_slice(bytes);
                    }
                    _ => state.waiting.push_back(Piece::Output(stream, bytes.to_vec())),
                }
            }
        }
        drop(state);
        self.more.notify_one();
    }

    /// Says that the step tells no more.
    pub(super) fn finish(&self) {
        self.lock().finished = true;
        self.more.notify_one();
    }

    /// Says that nobody listens any more: what the step tells is let go of, and it never waits.
    pub(super) fn deafen(&self) {
        self.lock().deaf = true;
        self.room.notify_all();
    }

    /// Sends what the step tells until it tells no more, or nobody listens.
    pub(super) async fn forward(&self, outgoing: &mpsc::Sender<Result<RunEvent, Status>>) {
        loop {
            let (pieces, finished) = self.take();
            let mut sent = 0;
            for piece in pieces {
                let kind = match piece {
                    Piece::Output(stream, bytes) => {
                        sent += bytes.len();
                        RunEventKind::Output(output_message(stream, bytes))
                    }
                    Piece::Warning(message) => {
                        RunEventKind::Warning(Warning { message, remedy: None })
                    }
                };
                if outgoing.send(Ok(RunEvent { kind: Some(kind) })).await.is_err() {
                    return;
                }
            }
            if finished {
                return;
            }
            if (1..SMALL).contains(&sent) && !self.lock().finished {
                tokio::time::sleep(GATHER).await;
            }
            // A notification that came since `take` is kept.
            self.more.notified().await;
        }
    }

    fn take(&self) -> (VecDeque<Piece>, bool) {
        let mut state = self.lock();
        state.bytes = 0;
        let taken = (std::mem::take(&mut state.waiting), state.finished);
        drop(state);
        self.room.notify_all();
        taken
    }
}
