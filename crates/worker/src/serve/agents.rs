//! Sockets of ssh agents inside the worker, each connection carried to the client.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use boxwright_core::{Error, ErrorKind, Result};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::carry::carry;
use crate::protocol::messages::{AgentBytes, AgentWanted, RunEvent, RunEventKind};

/// How many messages of one connection wait.
const WAITING: usize = 8;

type Outgoing = mpsc::Sender<Result<RunEvent, Status>>;

/// Connections that steps made and the client has not opened a call for.
#[derive(Debug, Default)]
pub(super) struct Agents {
    next: AtomicU64,
    waiting: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting(Mutex<HashMap<u64, UnixStream>>);

impl Waiting {
    fn add(&self, number: u64, stream: UnixStream) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, stream);
    }

    fn take(&self, number: u64) -> Option<UnixStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)
    }
}

impl Agents {
    /// Makes a socket in `folder` for each of the agents `ids`, and tells the client by `outgoing` of every
    /// connection to one, until the value is dropped.
    pub(super) fn listen(
        &self,
        ids: &[String],
        folder: &Path,
        outgoing: Outgoing,
    ) -> Result<Listening> {
        if ids.is_empty() {
            return Ok(Listening::default());
        }
        let fail = |error: io::Error| {
            Error::new(ErrorKind::Unavailable, "cannot make the socket of an ssh agent")
                .with_source(error)
                .with_context("folder", folder.display().to_string())
        };
        let folder = tempfile::Builder::new().prefix("agents-").tempdir_in(folder).map_err(fail)?;
        // The address of a socket has 108 bytes at most; through the open folder any path is short.
        let open = std::fs::File::open(folder.path()).map_err(fail)?;
        let mut listening = Listening::default();
        for (number, id) in ids.iter().enumerate() {
            let name = number.to_string();
            let short = PathBuf::from(format!("/proc/self/fd/{}/{name}", open.as_raw_fd()));
            let listener = UnixListener::bind(short).map_err(fail)?;
            listening.sockets.insert(id.clone(), folder.path().join(name));
            let base = self.next.fetch_add(1 << 32, Ordering::Relaxed);
            let (waiting, outgoing, id) = (self.waiting.clone(), outgoing.clone(), id.clone());
            listening.tasks.push(tokio::spawn(accept(listener, id, base, waiting, outgoing)));
        }
        listening.folder = Some(folder);
        Ok(listening)
    }

    /// Carries the bytes of the connection that the first of `incoming` names.
    pub(super) async fn carry(
        &self,
        mut incoming: Streaming<AgentBytes>,
    ) -> Result<ReceiverStream<Result<AgentBytes, Status>>, Status> {
        let first = incoming.message().await?.unwrap_or_default();
        let stream = self.waiting.take(first.connection);
        let stream = stream.ok_or_else(|| Status::not_found("no such connection"))?;
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(carry(stream, incoming, move |bytes| {
            let sender = sender.clone();
            async move { sender.send(Ok(AgentBytes { connection: 0, bytes })).await.is_ok() }
        }));
        Ok(ReceiverStream::new(receiver))
    }
}

/// Takes connections to the agent `id` and tells of each, numbered from `base`.
async fn accept(
    listener: UnixListener,
    id: String,
    base: u64,
    waiting: Arc<Waiting>,
    outgoing: Outgoing,
) {
    for number in base.. {
        let Ok((stream, _)) = listener.accept().await else { return };
        waiting.add(number, stream);
        let wanted = AgentWanted { connection: number, id: id.clone() };
        let event = RunEvent { kind: Some(RunEventKind::AgentWanted(wanted)) };
        if outgoing.send(Ok(event)).await.is_err() {
            waiting.take(number);
            return;
        }
    }
}

/// Sockets of agents that are listened on until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Listening {
    sockets: BTreeMap<String, PathBuf>,
    tasks: Vec<JoinHandle<()>>,
    folder: Option<TempDir>,
}

impl Listening {
    /// Returns where the sockets are, by the agents' ids.
    pub(super) fn sockets(&self) -> BTreeMap<String, PathBuf> {
        self.sockets.clone()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
