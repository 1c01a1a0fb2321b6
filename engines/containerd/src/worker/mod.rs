//! Runs the steps of one build by a worker that is a task of containerd.

mod image;
mod stream;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use boxwright_core::{
    BlobStore, Error, ErrorKind, NetworkMode, Platform, Result, Session, Step, StepOutcome,
    StepRunner,
};
use boxwright_worker::WorkerClient;
use boxwright_worker_program::WorkerProgram;
use tokio::sync::Mutex;

use crate::api::Api;
use crate::container::{Container, Process, specification};
use crate::errors::failed;
use crate::labels;
use crate::lease::Lease;
use crate::pipes::Pipes;
use crate::users::User;
use stream::Stdio;

/// What it is made for, in labels.
pub(crate) const PURPOSE: &str = "worker";

/// What it may do beside what every container may: mount and make namespaces, and turn on the loopback interface of
/// a step that has no network.
const RIGHTS: &[&str] = &["CAP_SYS_ADMIN", "CAP_NET_ADMIN"];

/// How long a worker that was told to end has before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The worker of one build: none until its first step, then one until [`Worker::end`].
pub(crate) struct Worker {
    api: Api,
    running: Mutex<Option<Running>>,
}

/// A worker that answers.
struct Running {
    client: WorkerClient,
    container: Container,
    lease: Lease,
}

impl Worker {
    /// Returns the worker of a build. Nothing is started yet.
    pub(crate) fn new(api: &Api) -> Self {
        Self { api: api.clone(), running: Mutex::default() }
    }

    async fn client(&self, session: &Session) -> Result<WorkerClient> {
        let mut running = self.running.lock().await;
        if running.is_none() {
            *running = Some(start(&self.api, session).await?);
        }
        running
            .as_ref()
            .map(|running| running.client.clone())
            .ok_or_else(|| Error::new(ErrorKind::Bug, "a worker that was started is not there"))
    }

    /// Ends the worker, if there is one, and waits until nothing is left of it but what it keeps for the next build.
    pub(crate) async fn end(&self) -> Result<()> {
        let Some(Running { client, container, lease }) = self.running.lock().await.take() else {
            return Ok(());
        };
        // It ends when its input does.
        drop(client);
        let ended = self.api.wait_task(container.id());
        let _ = tokio::time::timeout(PATIENCE, ended).await;
        let removed = container.remove().await;
        lease.finish(removed).await
    }
}

#[async_trait]
impl StepRunner for Worker {
    async fn run(
        &self,
        step: &Step,
        blobs: &dyn BlobStore,
        session: &Session,
    ) -> Result<StepOutcome> {
        let client = session.cancellable(self.client(session)).await?;
        client.run(step, blobs, session).await
    }
}

/// Starts a worker.
async fn start(api: &Api, session: &Session) -> Result<Running> {
    let program = WorkerProgram::carried()?;
    program.require(Platform::of_this_machine().architecture())?;
    let lease = Lease::take(api, PURPOSE).await?;
    let container = Container::new(lease.api(), PURPOSE);
    match connect(lease.api(), &container, &program, session).await {
        Ok(client) => Ok(Running { client, container, lease }),
        Err(error) => {
            // What is wrong with its removal is of less use than why it did not start.
            let _ = container.remove().await;
            lease.finish(Err(error)).await
        }
    }
}

async fn connect(
    api: &Api,
    container: &Container,
    program: &WorkerProgram,
    session: &Session,
) -> Result<WorkerClient> {
    let what = "cannot start the worker";
    let snapshot = image::snapshot(api, program).await?;
    let rootfs = api.prepare(container.id(), &snapshot, labels::own(PURPOSE)).await?;
    let store = api.keep(&format!("boxwright-{PURPOSE}-store"), labels::kept(PURPOSE)).await?;
    let pipes = Pipes::new(&session.host.temporary_folder())?;
    let mut stdio = Stdio::open(pipes)?;
    // The default network of its steps is its own, which is the machine's: containerd has none for containers.
    let files = [Path::new("/etc/hosts"), Path::new("/etc/resolv.conf")];
    let files =
        files.iter().filter(|file| file.exists()).filter_map(|file| Some((*file, file.to_str()?)));
    let files: Vec<(&Path, &str)> = files.collect();
    let user = User { uid: 0, gid: 0, groups: Vec::new(), home: "/".to_owned() };
    let process = Process {
        arguments: &[image::PROGRAM, "serve", "--store", image::STORE].map(str::to_owned),
        environment: &[],
        working_directory: "/",
        user: &user,
        network: NetworkMode::Host,
        files: &files,
        rights: RIGHTS,
        mounts: &store.iter().map(|mount| (mount, image::STORE)).collect::<Vec<_>>(),
    };
    let specification = specification(container.id(), &process);
    let created = container.create(PURPOSE, "", &specification, rootfs, stdio.paths()).await?;
    created.map_err(failed(what))?;
    let ended = async { api.wait_task(container.id()).await.map_err(failed(what)) };
    let greeted = async {
        api.start_task(container.id()).await.map_err(failed(what))?;
        stdio.connect().await
    };
    let connected = tokio::select! {
        connected = greeted => connected,
        status = ended => Err(Error::new(ErrorKind::Unavailable, what)
            .with_cause(format!("it ended with status {}", status?))),
    };
    connected.map_err(|error| stdio.explain(error))
}
