//! An engine without an engine: it builds, keeps, pushes and runs images all by itself.
//!
//! It exists so that whatever works on an [`Engine`] can be tested where none is installed, the
//! conformance suite first of all. Images are real: their layers, configs and manifests are what any
//! other engine reads. Processes are not: [`shell`] knows the few programs that tests use. Given a
//! [`Defect`], it breaks one promise, which the suite must notice.

use std::sync::Arc;

use async_trait::async_trait;
use boxwright_core::{
    ArchiveFormat, BuildOutput, BuildRequest, Capabilities, Detection, Engine, EngineInfo,
    EngineName, EngineProvider, Error, ErrorKind, ExportRequest, Feature, Host, ImageDetails,
    ImageRef, ImageStore, ImageSummary, ImportOutput, ImportRequest, Instance, LocalImage,
    Platform, PruneOutput, PullOutput, PullRequest, PushOutput, PushRequest, RemoveOutput,
    RemoveRequest, Result, RunOutput, RunRequest, Session, StepRunner, Support,
};
use boxwright_image::archive::{self, ArchiveKind, ArchiveOptions};

mod build;
mod capabilities;
mod context;
mod copy;
mod defect;
mod dockerfile;
mod metadata;
mod mounts;
mod publish;
mod root;
mod run;
mod shell;
mod stage;
mod store;
mod words;

pub use defect::Defect;

use store::{Store, Stored};

/// The name of the fake engine.
pub const FAKE: EngineName = EngineName::new("fake");

const VERSION: &str = "1.0.0";

/// An engine in this process. See the module.
#[derive(Debug)]
pub struct FakeEngine {
    info: EngineInfo,
    capabilities: Capabilities,
    defects: Vec<Defect>,
    store: Store,
}

impl FakeEngine {
    /// Returns an engine with an empty store that keeps every promise.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when there is no room for its store.
    pub fn open() -> Result<Self> {
        Self::with_defects(Vec::new())
    }

    /// Returns an engine with an empty store that breaks these promises.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when there is no room for its store.
    pub fn with_defects(defects: Vec<Defect>) -> Result<Self> {
        let mut info = EngineInfo::new(FAKE, VERSION, "memory:", "fake");
        info.rootless = Some(false);
        Ok(Self { info, capabilities: capabilities::of(&defects), defects, store: Store::open()? })
    }

    fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }

    fn registry(session: &Session) -> boxwright_registry::Client {
        boxwright_registry::Client::new(
            &session.host,
            session.registries.clone(),
            session.credentials.clone(),
        )
        .with_events(session.events.clone())
    }

    async fn pull_image(
        &self,
        image: &ImageRef,
        platform: Option<&Platform>,
        session: &Session,
    ) -> Result<Stored> {
        let client = Self::registry(session);
        let pulled = session.cancellable(client.pull(image, platform, &self.store.layout)).await?;
        let stored = self.store.adopt(pulled).await?;
        self.store.name(image, stored.id());
        Ok(stored)
    }

    fn summary(&self, image: &Stored) -> ImageSummary {
        let mut summary = ImageSummary::new(image.id().clone());
        summary.names = self.store.names_of(image.id());
        summary.created = Some(stage::CREATED.0);
        summary.size = Some(image.manifest.layers.iter().map(|(layer, _)| layer.size).sum());
        summary
    }

    /// Takes cause and remedy away, for the defect that does so.
    fn said<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match self.has(Defect::SaysNothing) {
            true => Error::new(error.kind(), "it does not work"),
            false => error,
        })
    }
}

#[async_trait]
impl Engine for FakeEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn native(&self, feature: Feature) -> Support {
        capabilities::native(feature, &self.defects)
    }

    async fn build(&self, request: &BuildRequest, session: &Session) -> Result<BuildOutput> {
        self.said(build::build(self, request, session).await)
    }

    async fn push(&self, request: &PushRequest, session: &Session) -> Result<PushOutput> {
        let image = self.store.find(&request.image.clone().into())?;
        let client = Self::registry(session);
        let push = client.push(&request.image, &image.manifest, &self.store.layout);
        let mut pushed = self.said(session.cancellable(push).await)?;
        if self.has(Defect::LiesAboutDigests) {
            pushed.digest = image.id().clone();
        }
        Ok(pushed)
    }

    async fn pull(&self, request: &PullRequest, session: &Session) -> Result<PullOutput> {
        let pulled = self.pull_image(&request.image, request.platform.as_ref(), session).await;
        let stored = self.said(pulled)?;
        let digest = stored.manifest.descriptor.digest.clone();
        Ok(PullOutput::new(stored.id().clone(), Some(digest)))
    }

    async fn inspect(&self, image: &LocalImage, _session: &Session) -> Result<ImageDetails> {
        let image = self.said(self.store.find(image))?;
        let run = &image.config.config;
        let platform = image.config.platform().unwrap_or_else(Platform::of_this_machine);
        let mut details = ImageDetails::new(self.summary(&image), platform);
        details.entrypoint = run.entrypoint.clone().unwrap_or_default();
        details.command = run.cmd.clone().unwrap_or_default();
        details.environment = run.env.clone();
        details.user = run.user.clone();
        details.working_directory = run.working_dir.clone();
        details.labels = run.labels.clone();
        details.exposed_ports = run.exposed_ports.keys().cloned().collect();
        details.volumes = run.volumes.keys().cloned().collect();
        details.stop_signal = run.stop_signal.clone();
        details.layers = image.manifest.layers.iter().map(|(_, diff)| diff.clone()).collect();
        Ok(details)
    }

    async fn list(&self, _session: &Session) -> Result<Vec<ImageSummary>> {
        Ok(self.store.images().iter().map(|image| self.summary(image)).collect())
    }

    async fn tag(&self, image: &LocalImage, name: &ImageRef, _session: &Session) -> Result<()> {
        let image = self.said(self.store.find(image))?;
        self.store.name(name, image.id());
        Ok(())
    }

    async fn remove(&self, request: &RemoveRequest, _session: &Session) -> Result<RemoveOutput> {
        let image = self.said(self.store.find(&request.image))?;
        let names = self.store.names_of(image.id());
        let mut output = RemoveOutput::default();
        match &request.image {
            LocalImage::Reference(name) if names.len() > 1 => {
                self.store.remove_name(name);
                output.untagged.push(name.clone());
            }
            LocalImage::Id(_) | LocalImage::IdPrefix(_) if names.len() > 1 && !request.force => {
                let message = format!("cannot remove `{}`", request.image);
                return self.said(Err(Error::new(ErrorKind::Conflict, message)
                    .with_cause(format!("it has {} names", names.len()))
                    .with_remedy("remove it with `--force`, or its names one by one")));
            }
            _ => {
                self.store.remove_image(image.id());
                output.untagged = names;
                output.deleted.push(image.id().clone());
            }
        }
        Ok(output)
    }

    async fn export(&self, request: &ExportRequest, _session: &Session) -> Result<()> {
        let image = self.said(self.store.find(&request.image))?;
        let names = match &request.image {
            LocalImage::Reference(name) => vec![name.to_string()],
            LocalImage::Id(_) | LocalImage::IdPrefix(_) => Vec::new(),
        };
        let kind = match request.format {
            ArchiveFormat::Oci => ArchiveKind::Oci,
            ArchiveFormat::Docker => ArchiveKind::Docker,
        };
        let options = ArchiveOptions::new(kind, names);
        let written =
            archive::write_file(&self.store.layout, &image.manifest, options, &request.destination);
        self.said(written.await)
    }

    async fn import(&self, request: &ImportRequest, _session: &Session) -> Result<ImportOutput> {
        let mut images = self.said(archive::read(&request.archive, &self.store.layout).await)?;
        let (Some(image), true) = (images.pop(), images.is_empty()) else {
            let shown = request.archive.display();
            let error = Error::new(ErrorKind::InvalidInput, format!("cannot import `{shown}`"));
            return self.said(Err(error.with_cause("it does not hold exactly one image")));
        };
        let stored = self.store.adopt(image.manifest).await?;
        request.names.iter().for_each(|name| self.store.name(name, stored.id()));
        if self.has(Defect::AppliesArchiveNames) {
            let names = image.names.iter().filter_map(|name| name.parse().ok());
            names.for_each(|name| self.store.name(&name, stored.id()));
        }
        Ok(ImportOutput::new(stored.id().clone()))
    }

    async fn run(&self, request: &RunRequest, session: &Session) -> Result<RunOutput> {
        let image = self.said(self.store.find(&request.image))?;
        run::run(self, &image, request, session).await
    }

    async fn prune(&self, _session: &Session) -> Result<PruneOutput> {
        // Nothing outlives its process but the store, which is pruned for all engines at once.
        Ok(PruneOutput::default())
    }

    fn step_runner(&self) -> Option<Box<dyn StepRunner + '_>> {
        None
    }

    fn image_store(&self) -> Option<&dyn ImageStore> {
        Some(self)
    }
}

/// Finds one fake engine, always.
#[derive(Debug)]
pub struct FakeProvider(Arc<FakeEngine>);

impl FakeProvider {
    /// Returns a provider of `engine`.
    #[must_use]
    pub fn new(engine: FakeEngine) -> Self {
        Self(Arc::new(engine))
    }
}

#[async_trait]
impl EngineProvider for FakeProvider {
    fn name(&self) -> EngineName {
        FAKE
    }

    async fn detect(&self, _host: &Host) -> Vec<Detection> {
        let mut instance = Instance::new(FAKE, "memory:", "this process", VERSION);
        instance.rootless = Some(false);
        instance.builders = vec!["fake".to_owned()];
        vec![Detection::Ready(instance)]
    }

    async fn open(
        &self,
        _host: &Host,
        _instance: &Instance,
        builder: Option<&str>,
    ) -> Result<Arc<dyn Engine>> {
        match builder {
            None | Some("fake") => Ok(self.0.clone()),
            Some(other) => {
                let message = format!("the fake engine has no builder `{other}`");
                Err(Error::new(ErrorKind::InvalidInput, message).with_remedy("use `fake`"))
            }
        }
    }
}
