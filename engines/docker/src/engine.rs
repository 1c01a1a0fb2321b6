//! One open Docker daemon.

use boxwright_core::{
    BuildOutput, BuildRequest, Capabilities, Engine, EngineInfo, ExportRequest, Feature,
    ImageDetails, ImageRef, ImageStore, ImageSummary, ImportOutput, ImportRequest, LocalImage,
    PruneOutput, PullOutput, PullRequest, PushOutput, PushRequest, RemoveOutput, RemoveRequest,
    Result, RunOutput, RunRequest, Session, StepRunner, Support, async_trait,
};

use boxwright_worker_container::ContainerWorker;
use boxwright_worker_program::WorkerProgram;

use crate::config::Builder;
use crate::daemon::Daemon;
use crate::provider::NAME;
use crate::{
    archives, buildkit, capabilities, classic, confinement, features, images, pull, push, run,
};

/// One open Docker daemon, building one way.
#[derive(Debug)]
pub struct DockerEngine {
    info: EngineInfo,
    capabilities: Capabilities,
    builder: Builder,
    daemon: Daemon,
    worker: Option<WorkerProgram>,
}

impl DockerEngine {
    pub(crate) fn new(daemon: Daemon, builder: Builder) -> Self {
        let endpoint = daemon.api.http.endpoint().to_string();
        let mut info =
            EngineInfo::new(NAME, daemon.server.version.clone(), endpoint, builder.as_str());
        info.rootless = Some(daemon.server.rootless);
        let runs_linux = daemon.server.platform.os() == "linux";
        let worker = WorkerProgram::carried().ok().filter(|_| runs_linux);
        Self { info, capabilities: capabilities::of(builder), builder, daemon, worker }
    }
}

#[async_trait]
impl Engine for DockerEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn native(&self, feature: Feature) -> Support {
        features::native(&self.daemon.server, self.builder, feature)
    }

    async fn build(&self, request: &BuildRequest, session: &Session) -> Result<BuildOutput> {
        match self.builder {
            Builder::BuildKit => {
                let store = self.daemon.server.store;
                buildkit::build(&self.daemon.api.http, store, request, session).await
            }
            Builder::Classic => classic::build(&self.daemon, request, session).await,
        }
    }

    async fn push(&self, request: &PushRequest, session: &Session) -> Result<PushOutput> {
        push::push(&self.daemon, request, session).await
    }

    async fn pull(&self, request: &PullRequest, session: &Session) -> Result<PullOutput> {
        pull::pull(&self.daemon, request, session).await
    }

    async fn inspect(&self, image: &LocalImage, _session: &Session) -> Result<ImageDetails> {
        images::inspect(&self.daemon, image).await
    }

    async fn list(&self, _session: &Session) -> Result<Vec<ImageSummary>> {
        images::list(&self.daemon).await
    }

    async fn tag(&self, image: &LocalImage, name: &ImageRef, _session: &Session) -> Result<()> {
        let image = self.daemon.name_of(image).await?;
        self.daemon.api.tag(&image, name).await
    }

    async fn remove(&self, request: &RemoveRequest, _session: &Session) -> Result<RemoveOutput> {
        images::remove(&self.daemon, request).await
    }

    async fn export(&self, request: &ExportRequest, session: &Session) -> Result<()> {
        archives::export(&self.daemon, request, session).await
    }

    async fn import(&self, request: &ImportRequest, session: &Session) -> Result<ImportOutput> {
        archives::import(&self.daemon, request, session).await
    }

    async fn run(&self, request: &RunRequest, session: &Session) -> Result<RunOutput> {
        run::run(&self.daemon, request, session).await
    }

    async fn prune(&self, _session: &Session) -> Result<PruneOutput> {
        boxwright_worker_container::prune(&self.daemon.api.http).await
    }

    fn step_runner(&self) -> Option<Box<dyn StepRunner + '_>> {
        let program = self.worker.clone()?;
        let architecture = Some(self.daemon.server.platform.architecture().to_owned());
        let client = self.daemon.api.http.clone();
        let worker = ContainerWorker::new(client, program, architecture);
        Some(Box::new(worker.with_security(confinement::security(&self.daemon.server.security))))
    }

    fn image_store(&self) -> Option<&dyn ImageStore> {
        Some(&self.daemon)
    }
}
