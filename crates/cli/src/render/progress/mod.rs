//! Progress: a live tree, plain lines, JSON objects, or nothing but what went wrong.

mod json;
mod live;
mod plain;
mod quiet;
mod step;

use std::time::{Duration, Instant};

use boxwright_core::{CancellationToken, Event, EventSink, Host};
use boxwright_engines::settings::ProgressMode;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Console;

/// How often a live tree is drawn again.
const FRAME: Duration = Duration::from_millis(100);

/// Turns events into output. The clock is the time since the start.
trait Renderer: Send {
    /// Takes an event, and returns what is to be written at once.
    fn event(&mut self, event: Event, now: Duration) -> String;

    /// Returns what is to be written when time has passed.
    fn tick(&mut self, _now: Duration) -> String {
        String::new()
    }

    /// Says that the user asked for the end.
    fn interrupted(&mut self, now: Duration) -> String;

    /// Returns what is to be written at the end.
    fn end(&mut self, _now: Duration) -> String {
        String::new()
    }
}

/// Progress that is being shown.
#[derive(Debug)]
pub(crate) struct Progress {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

impl Progress {
    /// Starts to show what is reported to the sink that it returns.
    pub(crate) fn start(
        console: Console,
        host: &Host,
        mode: ProgressMode,
        quiet: bool,
        cancel: CancellationToken,
    ) -> (EventSink, Self) {
        let paint = console.paint_err();
        let live = match mode {
            ProgressMode::Tty => true,
            ProgressMode::Auto => console.can_draw(host),
            ProgressMode::Plain | ProgressMode::Json => false,
        };
        let renderer: Box<dyn Renderer> = match mode {
            ProgressMode::Json => Box::new(json::Json),
            _ if quiet => Box::new(quiet::Quiet::new(paint)),
            _ if live => Box::new(live::Live::new(paint, console.unicode())),
            _ => Box::new(plain::Plain::new(paint)),
        };
        let (sink, events) = EventSink::channel();
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(show(renderer, events, ended, cancel, console));
        (sink, Self { task, end })
    }

    /// Shows what was reported until now, and ends.
    pub(crate) async fn finish(self) {
        // The task may be gone already, when every sink was dropped.
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

async fn show(
    mut renderer: Box<dyn Renderer>,
    mut events: mpsc::Receiver<Event>,
    mut ended: oneshot::Receiver<()>,
    cancel: CancellationToken,
    console: Console,
) {
    let start = Instant::now();
    let write = |text: String| {
        if !text.is_empty() {
            console.side_bytes(text.as_bytes());
        }
    };
    let mut frame = tokio::time::interval(FRAME);
    frame.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled(), if !told => {
                told = true;
                write(renderer.interrupted(start.elapsed()));
            }
            event = events.recv() => match event {
                Some(event) => write(renderer.event(event, start.elapsed())),
                None => break,
            },
            // A sink may outlive the call in some task of an engine; what it says later is not waited for.
            _ = &mut ended => {
                while let Ok(event) = events.try_recv() {
                    write(renderer.event(event, start.elapsed()));
                }
                break;
            }
            _ = frame.tick() => write(renderer.tick(start.elapsed())),
        }
    }
    write(renderer.end(start.elapsed()));
}
