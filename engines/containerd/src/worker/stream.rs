//! Standard input, output and error of a worker, over named pipes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_worker::WorkerClient;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::api::TaskPipes;
use crate::pipes::{Pipes, holder, only_reader, only_writer};

/// How much of what a worker says to standard error is kept, in bytes.
const TAIL: usize = 2 << 10;

/// The pipes of a worker that is being started.
#[derive(Debug)]
pub(super) struct Stdio {
    paths: TaskPipes,
    ends: Option<(Receiver, Sender)>,
    /// As long as these are open, no pipe has an end, whenever the shim opens its own.
    held: Vec<Sender>,
    said: Arc<Mutex<VecDeque<u8>>>,
    // The shim finds the pipes by their paths.
    _pipes: Pipes,
}

impl Stdio {
    /// Makes the pipes.
    pub(super) fn open(pipes: Pipes) -> Result<Self> {
        let (stdin, stdout, stderr) =
            (pipes.make("stdin")?, pipes.make("stdout")?, pipes.make("stderr")?);
        let held = vec![holder(&stdin)?, holder(&stdout)?, holder(&stderr)?];
        let ends = Some((only_reader(&stdout)?, only_writer(&stdin)?));
        let said = Arc::default();
        tokio::spawn(listen(only_reader(&stderr)?, Arc::clone(&said)));
        let paths = TaskPipes { stdin: Some(stdin), stdout: Some(stdout), stderr: Some(stderr) };
        Ok(Self { paths, ends, held, said, _pipes: pipes })
    }

    pub(super) fn paths(&self) -> &TaskPipes {
        &self.paths
    }

    /// Greets the worker. From then on, each pipe ends with the worker, and the worker with the client.
    pub(super) async fn connect(&mut self) -> Result<WorkerClient> {
        let ends = self.ends.take();
        let (output, input) =
            ends.ok_or_else(|| Error::new(ErrorKind::Bug, "a worker is greeted once"))?;
        let client = WorkerClient::connect(tokio::io::join(output, input)).await?;
        // Its answer shows that the shim has opened them all.
        self.held.clear();
        Ok(client)
    }

    /// Adds what the worker said to `error`.
    pub(super) fn explain(&self, error: Error) -> Error {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(said.make_contiguous()).trim().to_owned();
        if text.is_empty() { error } else { error.with_context("the worker said", text) }
    }
}

/// Keeps the end of what a worker says.
async fn listen(mut errors: Receiver, said: Arc<Mutex<VecDeque<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut buffer).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend(&buffer[..count]);
        let over = said.len().saturating_sub(TAIL);
        said.drain(..over);
    }
}
