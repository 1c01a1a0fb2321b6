//! The worker's container, and sessions in it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boxwright_core::{
    BlobStore, Error, ErrorKind, Result, Session, Step, StepOutcome, StepRunner, async_trait,
    labels,
};
use boxwright_http::Client;
use boxwright_worker::WorkerClient;
use boxwright_worker_program::WorkerProgram;
use serde_json::{Value, json};

use crate::api::Api;
use crate::frames::{Framed, Tail};
use crate::image::{self, PROGRAM, STORE};

/// The volume that layers are kept in between containers. Its number is that of the store's format.
pub(crate) const VOLUME: &str = "boxwright-worker-1";
/// How long a container stays that nobody uses, in seconds.
const IDLE: &str = "600";
/// How often a container that comes or goes at the wrong moment is looked at again.
const TRIES: u32 = 20;
/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the connection of a worker that broke has to end.
const ENDING: Duration = Duration::from_secs(2);

/// Runs steps in a container of an engine that speaks Docker's API. The container starts with the first step. It is
/// kept for the next build, and ends itself when nobody uses it; the session in it ends with this value.
pub struct ContainerWorker {
    api: Api,
    program: WorkerProgram,
    architecture: Option<String>,
    security: Vec<String>,
    session: tokio::sync::Mutex<Option<Arc<Open>>>,
}

/// An open session.
struct Open {
    client: WorkerClient,
    errors: Tail,
}

impl ContainerWorker {
    /// Returns a worker in the engine that `client` reaches. Its machine has `architecture`, by Go's name, if that is
    /// known; otherwise the engine finds out when it starts the program.
    #[must_use]
    pub fn new(client: Client, program: WorkerProgram, architecture: Option<String>) -> Self {
        let api = Api(client);
        let (security, session) = (Vec::new(), tokio::sync::Mutex::default());
        Self { api, program, architecture, security, session }
    }

    /// Returns the worker with what confines its container otherwise than usual, as the engine's `SecurityOpt`.
    #[must_use]
    pub fn with_security(self, security: Vec<String>) -> Self {
        Self { security, ..self }
    }

    async fn session(&self) -> Result<Arc<Open>> {
        let mut session = self.session.lock().await;
        if let Some(open) = &*session {
            return Ok(open.clone());
        }
        let open = Arc::new(self.open().await?);
        *session = Some(open.clone());
        Ok(open)
    }

    async fn open(&self) -> Result<Open> {
        if let Some(architecture) = &self.architecture {
            self.program.require(architecture)?;
        }
        let exec = self.exec().await?;
        let connection = self.api.session(&exec).await?;
        let errors = Tail::default();
        let stream = Framed::new(connection, errors.clone());
        match WorkerClient::connect(stream).await {
            Ok(client) => Ok(Open { client, errors }),
            Err(error) => Err(explain(error, &errors)),
        }
    }

    /// Returns the container's name: each version of the program, and each way to confine it, has its own.
    fn container(&self) -> String {
        let (program, security) = (self.program.digest(), &self.security);
        let program = program.short();
        if security.is_empty() {
            return format!("boxwright-worker-{program}");
        }
        let security = image::digest(security.join("\n").as_bytes());
        format!("boxwright-worker-{program}-{}", security.short())
    }

    /// Makes an exec session in the running container, and returns its id.
    async fn exec(&self) -> Result<String> {
        let command = [PROGRAM, "serve", "--store", STORE];
        let session = json!({
            "AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "Tty": false, "Cmd": command,
        });
        let container = self.container();
        let path = format!("/containers/{container}/exec");
        let mut last = None;
        for _ in 0..TRIES {
            self.run_container(&container).await?;
            match self.api.post(&path, &session, "start a session in the worker's container").await
            {
                Ok(answer) => {
                    return answer["Id"].as_str().map(str::to_owned).ok_or_else(|| {
                        Error::new(ErrorKind::Protocol, "the engine made a session without an id")
                    });
                }
                // It ended itself just then.
                Err(error) if is_momentary(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(last
            .unwrap_or_else(|| Error::new(ErrorKind::Bug, "the worker was never looked for"))
            .or_remedy("see the engine's log for why the container does not stay"))
    }

    /// Has the container run, made from the program's image if it is not there.
    async fn run_container(&self, container: &str) -> Result<()> {
        let mut last = None;
        for _ in 0..TRIES {
            let path = format!("/containers/{container}/json");
            let found = self.api.find(&path, "look for the worker's container").await?;
            if found.is_some_and(|found| found["State"]["Running"] == Value::Bool(true)) {
                return Ok(());
            }
            match self.make_container(container).await {
                Ok(()) => return Ok(()),
                // Another build makes it, or the one that ended is still being removed.
                Err(error) if is_momentary(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(last
            .unwrap_or_else(|| Error::new(ErrorKind::Bug, "the worker was never made"))
            .or_remedy("remove it, and try again"))
    }

    async fn make_container(&self, container: &str) -> Result<()> {
        let image = image::name(&self.program);
        let path = format!("/images/{image}/json");
        if self.api.find(&path, "look for the worker's image").await?.is_none() {
            let archive = image::archive(&self.program)?;
            self.api.load(archive, "load the worker's image").await?;
        }
        let path = format!("/containers/create?name={container}");
        let body = body(&image, &self.security);
        self.api.post(&path, &body, "make the worker's container").await?;
        let path = format!("/containers/{container}/start");
        self.api.post(&path, &Value::Null, "start the worker's container").await?;
        Ok(())
    }

    async fn forget(&self, dead: &Arc<Open>) {
        let mut session = self.session.lock().await;
        if session.as_ref().is_some_and(|open| Arc::ptr_eq(open, dead)) {
            *session = None;
        }
    }
}

#[async_trait]
impl StepRunner for ContainerWorker {
    async fn run(
        &self,
        step: &Step,
        blobs: &dyn BlobStore,
        session: &Session,
    ) -> Result<StepOutcome> {
        let open = session.cancellable(self.session()).await?;
        let error = match open.client.run(step, blobs, session).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => error,
            outcome => return outcome,
        };
        if tokio::time::timeout(ENDING, open.client.ended()).await.is_ok() {
            self.forget(&open).await;
        }
        Err(explain(error, &open.errors))
    }
}

fn explain(error: Error, errors: &Tail) -> Error {
    match errors.text() {
        said if said.is_empty() => error,
        said => error.with_context("it said", said),
    }
}

fn is_momentary(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound)
}

/// Returns the container as it is asked for: one right more than usual, no log, no network of its own kind, gone when it
/// ends.
fn body(image: &str, security: &[String]) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "Image": image,
        "Cmd": ["init", "--idle", IDLE],
        "User": "0",
        "Labels": { labels::OWNER: "worker", labels::STARTED: now.as_secs().to_string() },
        "HostConfig": {
            "AutoRemove": true,
            "CapAdd": ["SYS_ADMIN"],
            "SecurityOpt": security,
            "LogConfig": { "Type": "none", "Config": {} },
            "Mounts": [{ "Type": "volume", "Source": VOLUME, "Target": STORE }],
        },
    })
}

impl fmt::Debug for ContainerWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerWorker")
            .field("program", &self.program)
            .field("architecture", &self.architecture)
            .finish_non_exhaustive()
    }
}
