//! The engine: each method says where its work is done.

use async_trait::async_trait;
use boxwright_core::{
    BuildOutput, BuildRequest, Capabilities, Engine, EngineInfo, ExportRequest, Feature,
    ImageDetails, ImageRef, ImageStore, ImageSummary, ImportOutput, ImportRequest, LocalImage,
    PruneOutput, PullOutput, PullRequest, PushOutput, PushRequest, RemoveOutput, RemoveRequest,
    Result, RunOutput, RunRequest, Session, StepRunner, Support,
};

use boxwright_portable::{BUILDER, Store as Built};

use crate::api::Api;
use crate::store::Store;
use crate::{archive, build, capabilities, images, provider, prune, run, transfers};

/// A containerd that answered, and one namespace of it.
#[derive(Debug)]
pub struct ContainerdEngine {
    api: Api,
    info: EngineInfo,
    capabilities: Capabilities,
    store: Store,
    built: Built,
}

impl ContainerdEngine {
    pub(crate) fn new(api: Api, built: Built, is_rootless: bool) -> Self {
        let mut info = EngineInfo::new(provider::NAME, api.version(), api.endpoint(), BUILDER);
        info.rootless = Some(is_rootless);
        let (capabilities, store) = (capabilities::of_containerd(), Store::new(&api));
        Self { api, info, capabilities, store, built }
    }
}

#[async_trait]
impl Engine for ContainerdEngine {
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
        build::build(&self.api, &self.built, request, session).await
    }

    async fn push(&self, request: &PushRequest, session: &Session) -> Result<PushOutput> {
        transfers::push(&self.api, &self.built, request, session).await
    }

    async fn pull(&self, request: &PullRequest, session: &Session) -> Result<PullOutput> {
        transfers::pull(&self.api, request, session).await
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
        prune::prune(&self.api).await
    }

    fn step_runner(&self) -> Option<Box<dyn StepRunner + '_>> {
        None
    }

    fn image_store(&self) -> Option<&dyn ImageStore> {
        Some(&self.store)
    }
}
