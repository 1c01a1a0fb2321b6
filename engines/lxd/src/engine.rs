//! The engine: each method says where its work is done.

use async_trait::async_trait;
use boxwright_core::{
    BuildOutput, BuildRequest, Capabilities, Engine, EngineInfo, ExportRequest, Feature,
    ImageDetails, ImageRef, ImageStore, ImageSummary, ImportOutput, ImportRequest, LocalImage,
    PruneOutput, PullOutput, PullRequest, PushOutput, PushRequest, RemoveOutput, RemoveRequest,
    Result, RunOutput, RunRequest, Session, StepRunner, Support,
};
use boxwright_portable::local::{archive, images, run, transfer};
use boxwright_portable::{BUILDER, Builder, Store};

use crate::publish::{self, Publisher};
use crate::runner::Runner;
use crate::worker::Workers;
use crate::{capabilities, provider, prune};

/// A server that answered, and the store of its images.
#[derive(Debug)]
pub struct LxdEngine {
    store: Store,
    info: EngineInfo,
    capabilities: Capabilities,
    workers: Workers,
}

impl LxdEngine {
    pub(crate) fn new(workers: Workers, store: Store) -> Self {
        let (server, endpoint) = (&workers.api.server, workers.api.endpoint().to_string());
        let mut info = EngineInfo::new(provider::NAME, server.version(), endpoint, BUILDER);
        // Instances are not privileged, but the server itself runs as root.
        info.rootless = Some(false);
        Self { store, info, capabilities: capabilities::of(), workers }
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
        // A session of the build's own, which ends with it.
        let Workers { api, config, program } = &self.workers;
        let aliases = publish::aliases(request, config.publish);
        let runner = Runner::new(self.workers.clone());
        let builder = Builder::new(self.store.clone()).with_steps(&runner);
        let mut output = builder.build(request, session).await?;
        if !aliases.is_empty() {
            let publisher = Publisher { api, store: &self.store, program };
            // Of an index, the image that this machine starts.
            let built = self.store.image(&output.id.clone().into()).await?;
            let id = &built.manifest.config.digest;
            let fingerprint = publisher.publish(id, &aliases, session).await?;
            for alias in &aliases {
                let command = publish::command(api.server.flavor, config, alias);
                let server = api.server.flavor.name();
                let said = format!("published to {server} as `{alias}`: `{command}` starts it");
                session.events.notice(said).await;
            }
            output.instance_image = Some(fingerprint);
        }
        Ok(output)
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
        let runner = Runner::new(self.workers.clone());
        run::run(&self.store, &runner, request, session).await
    }

    async fn prune(&self, _session: &Session) -> Result<PruneOutput> {
        prune::prune(&self.workers.api).await
    }

    fn step_runner(&self) -> Option<Box<dyn StepRunner + '_>> {
        Some(Box::new(Runner::new(self.workers.clone())))
    }

    fn image_store(&self) -> Option<&dyn ImageStore> {
        None
    }
}
