//! A worker that is a child of this process.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boxwright_core::{
    BlobStore, Error, ErrorKind, Host, Program, Result, Session, Step, StepOutcome, StepRunner,
    async_trait,
};
use boxwright_worker::{StorePruned, StorePruning, StoreUsage, WorkerClient};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr};
use tokio::task::JoinHandle;

use crate::WorkerProgram;
use crate::install::others;

/// How many bytes of what a worker writes to standard error are kept.
const TAIL: usize = 2 << 10;
/// How long a worker whose stream broke has to end.
const ENDING: Duration = Duration::from_secs(2);
/// How long finding out whether steps can be run may take.
const PROBING: Duration = Duration::from_secs(10);
/// How long looking through a store, or removing much of it, may take.
const UPKEEP: Duration = Duration::from_secs(3600);
/// What the worker looks programs for networks up in. Nothing else of this environment is its business.
const VARIABLES: &[&str] = &["PATH"];

/// Runs steps by a worker that is a child of this process: started with the first step, ended with this value. A
/// worker that died is started anew by the next step.
pub struct LocalWorker {
    host: Host,
    program: WorkerProgram,
    folder: PathBuf,
    running: tokio::sync::Mutex<Option<Arc<Running>>>,
}

/// A worker that was started.
struct Running {
    client: WorkerClient,
    process: tokio::sync::Mutex<Process>,
}

/// Its process, and the end of what that wrote to standard error.
struct Process {
    child: Child,
    said: Arc<Mutex<VecDeque<u8>>>,
    listening: JoinHandle<()>,
}

impl LocalWorker {
    /// Returns a worker that keeps its program, layers and caches in `folder`.
    #[must_use]
    pub fn new(host: Host, program: WorkerProgram, folder: PathBuf) -> Self {
        Self { host, program, folder, running: tokio::sync::Mutex::default() }
    }

    /// Returns the worker, started if none is.
    async fn worker(&self) -> Result<Arc<Running>> {
        let mut running = self.running.lock().await;
        if let Some(running) = &*running {
            return Ok(running.clone());
        }
        let started = Arc::new(self.start().await?);
        *running = Some(started.clone());
        Ok(started)
    }

    /// Finds out by trying whether steps can be run here: whether namespaces can be made, and layers kept and stacked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when they cannot, with the worker's words.
    pub async fn probe(&self) -> Result<()> {
        let output = self.program_for("probe").await?.output(&[], PROBING).await?;
        if output.succeeded() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::new(ErrorKind::Unavailable, "cannot run steps here").with_cause(said.trim()))
    }

    /// Tells what the worker's store takes. Programs of other versions are leftovers, too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when it cannot be read.
    pub async fn usage(&self) -> Result<StoreUsage> {
        let mut usage: StoreUsage = self.ask("usage", &[]).await?;
        for (_, bytes) in self.other_programs() {
            usage.leftovers.count += 1;
            usage.leftovers.bytes += bytes;
        }
        Ok(usage)
    }

    /// Removes from the worker's store what `pruning` says, unless a build uses it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when something cannot be removed.
    pub async fn prune(&self, pruning: &StorePruning) -> Result<StorePruned> {
        let mut arguments = Vec::new();
        if let Some(age) = pruning.older_than {
            arguments.extend(["--older-than".to_owned(), age.as_secs().to_string()]);
        }
        if let Some(bytes) = pruning.keep_bytes {
            arguments.extend(["--keep-bytes".to_owned(), bytes.to_string()]);
        }
        let mut pruned: StorePruned = self.ask("prune", &arguments).await?;
        for (file, bytes) in self.other_programs().into_iter().filter(|_| !pruned.in_use) {
            if std::fs::remove_file(file).is_ok() {
                pruned.removed.leftovers.count += 1;
                pruned.removed.leftovers.bytes += bytes;
            }
        }
        Ok(pruned)
    }

    /// Lists what other versions of this program installed.
    fn other_programs(&self) -> Vec<(PathBuf, u64)> {
        others(&self.folder, &self.program.file(&self.folder))
    }

    /// Has the program do `command`, and reads what it prints. As an ordinary user only the program, in its namespace,
    /// may touch the files of the store.
    async fn ask<T>(&self, command: &str, arguments: &[String]) -> Result<T>
    where
        T: Default + serde::de::DeserializeOwned,
    {
        if !self.folder.exists() {
            return Ok(T::default());
        }
        let fail = |cause: String| {
            let message =
                format!("cannot look after the worker's store `{}`", self.folder.display());
            Error::new(ErrorKind::Unavailable, message).with_cause(cause)
        };
        let program = self.program_for(command).await?.arguments(arguments);
        let output = program.output(&[], UPKEEP).await?;
        if !output.succeeded() {
            return Err(fail(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| fail(error.to_string()))
    }

    /// Runs `step` as [`StepRunner::run`] does, returns its exit status, and throws away what it changed.
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
        let worker = session.cancellable(self.worker()).await?;
        let outcome = worker.client.run_discarding(step, blobs, session).await;
        self.checked(&worker, outcome).await
    }

    /// Ends the worker, unless a step runs, and waits for that. The next step starts another.
    pub async fn end(&self) {
        let running = self.running.lock().await.take();
        if let Some(Running { client, process }) = running.and_then(Arc::into_inner) {
            // It ends when its input does.
            drop(client);
            let mut process = process.into_inner();
            // One that hangs is killed when this is dropped.
            let _ = tokio::time::timeout(ENDING, process.child.wait()).await;
        }
    }

    /// Returns the program, installed, to be asked for `command` on the store.
    async fn program_for(&self, command: &str) -> Result<Program> {
        self.program.require(boxwright_core::Platform::of_this_machine().architecture())?;
        let (program, folder) = (self.program.clone(), self.folder.clone());
        let file = boxwright_image::pipe::blocking(move || program.install(&folder)).await?;
        let store = self.folder.clone().into_os_string();
        let program = self.host.program_in(file).with_variables_only(VARIABLES);
        Ok(program.arguments(&[command, "--store"]).arguments(&[store]))
    }

    async fn start(&self) -> Result<Running> {
        let mut child = self.program_for("serve").await?.arguments(&["--own-network"]).start()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(Error::new(ErrorKind::Bug, "a program was started without its pipes"));
        };
        let said = Arc::default();
        let listening = tokio::spawn(listen(errors, Arc::clone(&said)));
        let mut process = Process { child, said, listening };
        let stream = tokio::io::join(output, input);
        match WorkerClient::connect(stream).await {
            Ok(client) => Ok(Running { client, process: process.into() }),
            Err(error) => Err(process.explain(error).await),
        }
    }

    /// Forgets `running` if it is the one that is used, so that the next step starts another.
    async fn forget(&self, dead: &Arc<Running>) {
        let mut running = self.running.lock().await;
        if running.as_ref().is_some_and(|running| Arc::ptr_eq(running, dead)) {
            *running = None;
        }
    }
}

#[async_trait]
impl StepRunner for LocalWorker {
    async fn run(
        &self,
        step: &Step,
        blobs: &dyn BlobStore,
        session: &Session,
    ) -> Result<StepOutcome> {
        let worker = session.cancellable(self.worker()).await?;
        let outcome = worker.client.run(step, blobs, session).await;
        self.checked(&worker, outcome).await
    }
}

impl LocalWorker {
    /// Returns `outcome`. When the worker died, says how, and has the next step start another.
    async fn checked<T>(&self, worker: &Arc<Running>, outcome: Result<T>) -> Result<T> {
        let error = match outcome {
            Err(error) if error.kind() == ErrorKind::Unavailable => error,
            outcome => return outcome,
        };
        if tokio::time::timeout(ENDING, worker.client.ended()).await.is_err() {
            // Something else is unavailable; the worker is there.
            return Err(error);
        }
        self.forget(worker).await;
        Err(worker.process.lock().await.explain(error).await)
    }
}

/// Keeps the end of what a worker writes to standard error.
async fn listen(mut errors: ChildStderr, said: Arc<Mutex<VecDeque<u8>>>) {
    let mut buffer = vec![0; TAIL];
    while let Ok(count @ 1..) = errors.read(&mut buffer).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend(&buffer[..count]);
        let surplus = said.len().saturating_sub(TAIL);
        said.drain(..surplus);
    }
}

impl Process {
    /// Adds to the error of a broken connection how the worker ended, and what it said last.
    async fn explain(&mut self, error: Error) -> Error {
        let status = match tokio::time::timeout(ENDING, self.child.wait()).await {
            Ok(Ok(status)) => format!("the worker ended: {status}"),
            // It neither answers nor ends.
            _ => {
                let _ = self.child.start_kill();
                "the worker was ended, since it did not answer".to_owned()
            }
        };
        if !self.listening.is_finished() {
            // A child of its own may hold the pipe open.
            let _ = tokio::time::timeout(ENDING, &mut self.listening).await;
        }
        let said: Vec<u8> = {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.iter().copied().collect()
        };
        let error = error.with_context("worker", status);
        match String::from_utf8_lossy(&said).trim() {
            "" => error,
            said => error.with_context("it said", said),
        }
    }
}

impl fmt::Debug for LocalWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalWorker")
            .field("program", &self.program)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use boxwright_core::StepId;
    use boxwright_image::layout::Layout;

    use super::*;

    async fn run(program: WorkerProgram, folder: &Path) -> Error {
        let host = Host::with_variables("/", [("PATH", "/usr/bin:/bin")]);
        let worker = LocalWorker::new(host.clone(), program, folder.join("worker"));
        let blobs = Layout::open(folder.join("blobs")).unwrap();
        let step = Step::new(StepId(0), vec!["true".into()]);
        worker.run(&step, &blobs, &Session::new(host)).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_program_that_is_no_worker_is_told_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let program = WorkerProgram::read(Path::new("/bin/cat")).unwrap();
        let error = run(program, folder.path()).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        let [("worker", status), ("it said", said)] = error.context() else { panic!("{error:?}") };
        assert!(status.contains("exit status"), "{status}");
        assert!(said.contains("unrecognized option"), "{said}");
    }

    #[tokio::test]
    async fn a_worker_for_another_architecture_is_not_even_written_threat_44() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = WorkerProgram::carried().unwrap().bytes().to_vec();
        // The processor of an ELF program.
        let other: u16 = if bytes[18] == 183 { 62 } else { 183 };
        bytes[18..20].copy_from_slice(&other.to_le_bytes());
        let file = folder.path().join("foreign");
        std::fs::write(&file, bytes).unwrap();
        let error = run(WorkerProgram::read(&file).unwrap(), folder.path()).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(!folder.path().join("worker").exists());
    }
}
