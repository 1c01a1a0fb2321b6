//! The engine: each method says where its work is done.

use async_trait::async_trait;
use boxwright_core::{
    BuildOutput, BuildRequest, Capabilities, Engine, EngineInfo, ExportRequest, Feature,
    ImageDetails, ImageRef, ImageStore, ImageSummary, ImportOutput, ImportRequest, LocalImage,
    PruneOutput, PullOutput, PullRequest, PushOutput, PushRequest, RemoveOutput, RemoveRequest,
    Result, RunOutput, RunRequest, Session, StepRunner, Support,
};

use boxwright_worker_container::ContainerWorker;
use boxwright_worker_program::WorkerProgram;

use crate::api::Api;
use crate::{archive, build, capabilities, images, provider, push, run};

/// A Podman service that answered.
#[derive(Debug)]
pub struct PodmanEngine {
    api: Api,
    info: EngineInfo,
    capabilities: Capabilities,
    worker: Option<WorkerProgram>,
}

impl PodmanEngine {
    pub(crate) fn new(api: Api) -> Self {
        let server = &api.server;
        let endpoint = api.endpoint().to_string();
        let version = server.version_text.clone();
        let mut info = EngineInfo::new(provider::NAME, version, endpoint, provider::BUILDER);
        info.rootless = server.rootless;
        let capabilities = capabilities::of(server);
        let worker = WorkerProgram::carried().ok();
        Self { api, info, capabilities, worker }
    }
}

#[async_trait]
impl Engine for PodmanEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn native(&self, feature: Feature) -> Support {
        capabilities::native(feature, self.api.server.buildah)
    }

    async fn build(&self, request: &BuildRequest, session: &Session) -> Result<BuildOutput> {
        build::build(&self.api, request, session).await
    }

    async fn push(&self, request: &PushRequest, session: &Session) -> Result<PushOutput> {
        push::push(&self.api, request, session).await
    }

    async fn pull(&self, request: &PullRequest, session: &Session) -> Result<PullOutput> {
        push::pull(&self.api, request, session).await
    }

    async fn inspect(&self, image: &LocalImage, _session: &Session) -> Result<ImageDetails> {
        images::inspect(&self.api, image).await
    }

    async fn list(&self, _session: &Session) -> Result<Vec<ImageSummary>> {
        images::list(&self.api).await
    }

    async fn tag(&self, image: &LocalImage, name: &ImageRef, _session: &Session) -> Result<()> {
        images::tag(&self.api, image, name).await
    }

    async fn remove(&self, request: &RemoveRequest, _session: &Session) -> Result<RemoveOutput> {
        images::remove(&self.api, request).await
    }

    async fn export(&self, request: &ExportRequest, session: &Session) -> Result<()> {
        archive::export(&self.api, request, session).await
    }

    async fn import(&self, request: &ImportRequest, session: &Session) -> Result<ImportOutput> {
        archive::import(&self.api, request, session).await
    }

    async fn run(&self, request: &RunRequest, session: &Session) -> Result<RunOutput> {
        run::run(&self.api, request, session).await
    }

    async fn prune(&self, _session: &Session) -> Result<PruneOutput> {
        boxwright_worker_container::prune(&self.api.http()).await
    }

    fn step_runner(&self) -> Option<Box<dyn StepRunner + '_>> {
        let program = self.worker.clone()?;
        // What processor a distant service has is only told by calls that take half a second.
        Some(Box::new(ContainerWorker::new(self.api.http(), program, None)))
    }

    fn image_store(&self) -> Option<&dyn ImageStore> {
        Some(&self.api)
    }
}
