//! What a command that runs in an image writes: passed on as it is, to the stream it was written to.

use boxwright_core::{Error, ErrorKind, Event, EventSink, OutputStream, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Console;

/// Output that is being passed on.
#[derive(Debug)]
pub(crate) struct Output {
    task: JoinHandle<Result<()>>,
    end: oneshot::Sender<()>,
}

impl Output {
    /// Starts to pass on what is reported to the sink that it returns.
    pub(crate) fn start(console: Console) -> (EventSink, Self) {
        let (sink, events) = EventSink::channel();
        let (end, ended) = oneshot::channel();
        (sink, Self { task: tokio::spawn(pass_on(events, ended, console)), end })
    }

    /// Passes on what was reported until now, and ends.
    pub(crate) async fn finish(self) -> Result<()> {
        // The task may be gone already, when every sink was dropped.
        let _ = self.end.send(());
        self.task.await.map_err(|error| {
            Error::new(ErrorKind::Bug, "cannot pass the output on").with_source(error)
        })?
    }
}

async fn pass_on(
    mut events: mpsc::Receiver<Event>,
    mut ended: oneshot::Receiver<()>,
    console: Console,
) -> Result<()> {
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Some(event) => write(event, console)?,
                None => return Ok(()),
            },
            // A sink may outlive the call in some task of an engine; nothing more is waited for.
            _ = &mut ended => {
                while let Ok(event) = events.try_recv() {
                    write(event, console)?;
                }
                return Ok(());
            }
        }
    }
}

fn write(event: Event, console: Console) -> Result<()> {
    match event {
        Event::Output { stream: OutputStream::Stdout, bytes } => console.data_bytes(&bytes)?,
        Event::Output { stream: OutputStream::Stderr, bytes } => console.side_bytes(&bytes),
        Event::Warning { message, .. } => console.warn(&message),
        _ => {}
    }
    Ok(())
}
