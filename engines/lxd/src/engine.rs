//! The engine: each method says where its work is done.

use async_trait::async_trait;
use boxwright_core::{
    BuildOutput, BuildRequest, Capabilities, Engine, EngineInfo, Error, ErrorKind, ExportRequest,
    Feature, ImageDetails, ImageRef, ImageStore, ImageSummary, ImportOutput, ImportRequest,
    LocalImage, PullOutput, PullRequest, PushOutput, PushRequest, RemoveOutput, RemoveRequest,
    Result, RunOutput, RunRequest, Session, StepRunner, Support,
};
use boxwright_portable::local::{archive, images, transfer};
use boxwright_portable::{BUILDER, Builder, Store};

use crate::runner::Runner;
use crate::worker::Workers;
use crate::{capabilities, provider};

/// A server that answered, and the store of its images.
#[derive(Debug)]
pub struct LxdEngine {
    store: Store,
    info: EngineInfo,
    capabilities: Capabilities,
    /// For callers that run steps themselves.
    runner: Runner,
}

impl LxdEngine {
    pub(crate) fn new(workers: Workers, store: Store) -> Self {
        let (server, endpoint) = (&workers.api.server, workers.api.endpoint().to_string());
        let mut info = EngineInfo::new(provider::NAME, server.version(), endpoint, BUILDER);
        // Instances are not privileged, but the server itself runs as root.
        info.rootless = Some(false);
        Self { store, info, capabilities: capabilities::of(), runner: Runner::new(workers) }
    }
}

#[async_trait]
impl Engine for LxdEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn native(&self, feature: Feature) -> Support {
        capabilities::native(feature)
    }

    async fn build(&self, request: &BuildRequest, session: &Session) -> Result<BuildOutput> {
        Builder::new(self.store.clone()).build(request, session).await
    }

    async fn push(&self, request: &PushRequest, session: &Session) -> Result<PushOutput> {
        transfer::push(&self.store, request, session).await
    }

    async fn pull(&self, request: &PullRequest, session: &Session) -> Result<PullOutput> {
        transfer::pull(&self.store, request, session).await
    }

    async fn inspect(&self, image: &LocalImage, _session: &Session) -> Result<ImageDetails> {
        images::inspect(&self.store, image).await
    }

    async fn list(&self, _session: &Session) -> Result<Vec<ImageSummary>> {
        images::list(&self.store).await
    }

    async fn tag(&self, image: &LocalImage, name: &ImageRef, _session: &Session) -> Result<()> {
        images::tag(&self.store, image, name).await
    }

    async fn remove(&self, request: &RemoveRequest, _session: &Session) -> Result<RemoveOutput> {
        images::remove(&self.store, request).await
    }

    async fn export(&self, request: &ExportRequest, session: &Session) -> Result<()> {
        archive::export(&self.store, request, session).await
    }

    async fn import(&self, request: &ImportRequest, session: &Session) -> Result<ImportOutput> {
        archive::import(&self.store, request, session).await
    }

    async fn run(&self, request: &RunRequest, _session: &Session) -> Result<RunOutput> {
        Err(Error::new(ErrorKind::Unsupported, format!("cannot run `{}`", request.image))
            .with_cause(capabilities::NO_RUN)
            .with_remedy(capabilities::NO_RUN_REMEDY))
    }

    fn step_runner(&self) -> Option<&dyn StepRunner> {
        Some(&self.runner)
    }

    fn image_store(&self) -> Option<&dyn ImageStore> {
        None
    }
}
