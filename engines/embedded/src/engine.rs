//! The engine: each method says where its work is done.

use async_trait::async_trait;
use boxwright_core::{
    BuildOutput, BuildRequest, Capabilities, Capability, Engine, EngineInfo, Error, ErrorKind,
    ExportRequest, Feature, ImageDetails, ImageRef, ImageStore, ImageSummary, ImportOutput,
    ImportRequest, LocalImage, PruneOutput, PullOutput, PullRequest, PushOutput, PushRequest,
    RemoveOutput, RemoveRequest, Result, RunOutput, RunRequest, Session, StepRunner, Support,
};
use boxwright_portable::Store;
use boxwright_portable::local::{archive, images, transfer};

use crate::worker::Worker;
use crate::{build, capabilities, run};

/// The engine that is this program itself.
#[derive(Debug)]
pub struct EmbeddedEngine {
    store: Store,
    info: EngineInfo,
    capabilities: Capabilities,
    worker: Worker,
}

impl EmbeddedEngine {
    pub(crate) fn new(store: Store, info: EngineInfo, worker: Worker) -> Self {
        Self { store, info, capabilities: capabilities::of(worker.support()), worker }
    }
}

#[async_trait]
impl Engine for EmbeddedEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn native(&self, feature: Feature) -> Support {
        capabilities::native(feature, self.worker.support())
    }

    async fn build(&self, request: &BuildRequest, session: &Session) -> Result<BuildOutput> {
        build::build(&self.store, self.worker.local(), request, session).await
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

    async fn run(&self, request: &RunRequest, session: &Session) -> Result<RunOutput> {
        let worker = self.worker.local().ok_or_else(|| {
            // Whoever asks without looking at the capabilities gets the same answer.
            self.capabilities.require(Capability::Run).err().unwrap_or_else(|| {
                Error::new(ErrorKind::Bug, "commands can be run, and nothing runs them")
            })
        })?;
        run::run(&self.store, worker, request, session).await
    }

    async fn prune(&self, _session: &Session) -> Result<PruneOutput> {
        // Nothing outlives its process but the store, which is pruned for all engines at once.
        Ok(PruneOutput::default())
    }

    fn step_runner(&self) -> Option<Box<dyn StepRunner + '_>> {
        self.worker.local().map(|worker| Box::new(worker) as Box<dyn StepRunner + '_>)
    }

    fn image_store(&self) -> Option<&dyn ImageStore> {
        None
    }
}
