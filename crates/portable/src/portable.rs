//! Any engine, with the portable builder beside its own.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use boxwright_core::{
    BuildOutput, BuildRequest, Capabilities, Capability, Engine, EngineInfo, Error, ErrorKind,
    ExportRequest, Feature, ImageDetails, ImageRef, ImageStore, ImageSummary, ImportOutput,
    ImportRequest, Index, LocalImage, Manifest, PruneOutput, PullOutput, PullRequest, PushOutput,
    PushRequest, RemoveOutput, RemoveRequest, Result, RunOutput, RunRequest, Session, StepRunner,
    Support, async_trait,
};
use boxwright_image::pack::PackFormat;

use crate::builder::{BUILDER, Builder};
use crate::engine_images::EngineImages;
use crate::indexes;
use crate::local::{archive, images, transfer};
use crate::negotiate::{Chosen, Decision};
use crate::store::Store;
use crate::support;

/// Which builder a [`Portable`] builds with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The engine's own where it has all that a build needs, else the portable one.
    Auto,
    /// The engine's own.
    Native,
    /// The portable one.
    Portable,
}

/// An engine with the portable builder beside its own.
///
/// A portable build runs its steps by the engine's [`StepRunner`], and publishes its result in the engine's
/// [`ImageStore`]. An image that was built so is pushed from Boxwright's own blobs, also by a later push and
/// whichever way this handle builds: an engine would compress it again, and give it another digest.
#[derive(Debug)]
pub struct Portable {
    engine: Arc<dyn Engine>,
    way: Way,
    place: Arc<Place>,
    info: EngineInfo,
    capabilities: Capabilities,
}

/// Where Boxwright's own store is, and the store once it was needed.
#[derive(Debug)]
struct Place {
    folder: Result<PathBuf>,
    store: OnceLock<Store>,
}

impl Place {
    fn store(&self) -> Result<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let folder = self.folder.as_ref().map_err(|error| {
            let again = Error::new(error.kind(), error.to_string());
            let again = error.causes().into_iter().fold(again, Error::with_cause);
            error.remedy().map(str::to_owned).into_iter().fold(again, Error::with_remedy)
        })?;
        let opened = Store::open(folder)?;
        Ok(self.store.get_or_init(|| opened))
    }
}

/// By what means the portable builder does what an engine does not.
const HOW: &str = "the portable builder";

const NO_IMAGES: Support = Support::Unsupported {
    reason: "the engine takes no images that others built",
    remedy: "build with `--builder native`",
};

impl Portable {
    /// Returns `engine` with the portable builder, whose store is in `folder`. Nothing is made there before it is
    /// needed; an error in place of the folder is told then.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, way: Way, folder: Result<PathBuf>) -> Self {
        Self::at(engine, way, Arc::new(Place { folder, store: OnceLock::new() }))
    }

    fn at(engine: Arc<dyn Engine>, way: Way, place: Arc<Place>) -> Self {
        let mut info = engine.info().clone();
        if way == Way::Portable {
            BUILDER.clone_into(&mut info.builder);
        }
        let capabilities = Capabilities::probe(|capability| match way {
            Way::Native => engine.capabilities().get(capability).clone(),
            Way::Portable => portably(engine.as_ref(), capability),
            Way::Auto => match engine.capabilities().get(capability) {
                Support::Unsupported { .. } => match portably(engine.as_ref(), capability) {
                    Support::Unsupported { .. } => engine.capabilities().get(capability).clone(),
                    served => served,
                },
                served => served.clone(),
            },
        });
        Self { engine, way, place, info, capabilities }
    }

    /// Returns the engine with the portable builder alone.
    fn portably(&self) -> Self {
        Self::at(self.engine.clone(), Way::Portable, self.place.clone())
    }

    /// Returns the image that the engine has under this name, if it was built portably. Makes no store.
    async fn built(
        &self,
        image: &LocalImage,
        session: &Session,
    ) -> Result<Option<(&Store, Manifest)>> {
        let Some(store) = self.store_there()? else { return Ok(None) };
        let Ok(details) = self.engine.inspect(image, session).await else {
            // What is wrong with it is told by the engine.
            return Ok(None);
        };
        Ok(store.built(&details.summary.id).await?.map(|manifest| (store, manifest)))
    }

    /// Returns Boxwright's store if it is there already.
    fn store_there(&self) -> Result<Option<&Store>> {
        if !self.place.folder.as_ref().is_ok_and(|folder| folder.is_dir()) {
            return Ok(None);
        }
        self.place.store().map(Some)
    }

    /// Returns the index that was built portably under this name or id, if the engine still has the image of it that
    /// was published there.
    async fn index(
        &self,
        image: &LocalImage,
        session: &Session,
    ) -> Result<Option<(&Store, Index)>> {
        let Some(store) = self.store_there()? else { return Ok(None) };
        let Some(index) = store.published(&self.info.endpoint, image).await? else {
            return Ok(None);
        };
        if let LocalImage::Reference(_) = image {
            // Others may have moved the name.
            match self.engine.inspect(image, session).await {
                Ok(details) if index.lists(&details.summary.id) => {}
                _ => return Ok(None),
            }
        }
        Ok(Some((store, index)))
    }

    /// Returns what an image is that the engine does not have, and an index lists whose other image it has.
    async fn listed(&self, image: &LocalImage, error: Error) -> Result<ImageDetails> {
        match (self.store_there()?, image) {
            (Some(store), LocalImage::Id(id))
                if store.is_listed(&self.info.endpoint, id).await? =>
            {
                images::inspect(store, image).await
            }
            _ => Err(error),
        }
    }

    /// Notes that these names stand for one image each.
    fn no_index(&self, names: &[ImageRef]) -> Result<()> {
        match self.store_there()? {
            Some(store) => store.forget_published(&self.info.endpoint, names),
            None => Ok(()),
        }
    }

    async fn build_natively(
        &self,
        request: &BuildRequest,
        session: &Session,
    ) -> Result<BuildOutput> {
        for need in request.needs(session) {
            self.engine.capabilities().require(need)?;
        }
        let output = self.engine.build(request, session).await?;
        self.no_index(&request.tags)?;
        Ok(output)
    }

    async fn build_portably(
        &self,
        request: &BuildRequest,
        session: &Session,
    ) -> Result<BuildOutput> {
        let Some(images) = self.engine.image_store() else {
            return Err(Error::new(ErrorKind::Bug, "there is nowhere to publish the image"));
        };
        let store = self.place.store()?;
        // The names are the engine's to give.
        let mut nameless = request.clone();
        nameless.tags.clear();
        let bases = EngineImages(self.engine.as_ref());
        let runner = self.engine.step_runner();
        let mut builder = Builder::new(store.clone()).with_bases(&bases);
        if let Some(runner) = &runner {
            builder = builder.with_steps(runner.as_ref());
        }
        let mut output = builder.build(&nameless, session).await?;
        // What it keeps open in the engine is not needed any more.
        drop(runner);
        let gone = || {
            Error::new(ErrorKind::Unavailable, "the image is gone that was just built")
                .with_remedy("build again; something cleared Boxwright's store meanwhile")
        };
        let endpoint = &self.info.endpoint;
        if output.images.is_empty() {
            let manifest = store.built(&output.id).await?.ok_or_else(gone)?;
            images.publish(&manifest, store.layout(), &request.tags, session).await?;
            store.forget_published(endpoint, &request.tags)?;
        } else {
            // The engine has room for one image under a name.
            let index = store.index(&output.id).await?.ok_or_else(gone)?;
            let shown = index.representative().ok_or_else(gone)?;
            let built = store.built(&shown.config.digest).await?;
            let manifest = built.as_ref().unwrap_or(shown);
            images.publish(manifest, store.layout(), &request.tags, session).await?;
            store.note_published(endpoint, &request.tags, &index)?;
        }
        output.tags.clone_from(&request.tags);
        Ok(output)
    }
}

/// Returns the answer about [`Capability::BuildRun`] of a portable build on `engine`.
fn steps(engine: &dyn Engine) -> Support {
    match engine.step_runner() {
        Some(_) => Support::Native,
        None => support::NO_RUN,
    }
}

/// Returns whether a portable build on `engine` offers `capability`; what is no matter of building is as the engine says.
fn portably(engine: &dyn Engine, capability: Capability) -> Support {
    match support::capability(capability, &steps(engine)) {
        Some(_) if engine.image_store().is_none() => NO_IMAGES,
        Some(Support::Native) => Support::Emulated { how: HOW },
        Some(other) => other,
        None => engine.capabilities().get(capability).clone(),
    }
}

/// Returns the image that the engine has of an index which `image` stands for.
fn held(index: &Index, image: &LocalImage) -> Result<LocalImage> {
    match (image, index.representative()) {
        (LocalImage::Reference(_), _) => Ok(image.clone()),
        (_, Some(shown)) => Ok(LocalImage::Id(shown.config.digest.clone())),
        (_, None) => Err(Error::new(ErrorKind::Bug, "an index lists no image")),
    }
}

fn is_refused(error: &Error) -> bool {
    error.kind() == ErrorKind::Unsupported
}

/// Returns why an engine's own builder refused, as a clause.
fn said(error: &Error) -> String {
    let causes = error.causes();
    let parts = std::iter::once(error.to_string()).chain(causes);
    format!("the engine's own builder refused: {}", parts.collect::<Vec<_>>().join(": "))
}

#[async_trait]
impl Engine for Portable {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn native(&self, feature: Feature) -> Support {
        let own = self.engine.native(feature);
        let engine = self.engine.as_ref();
        let portable = || match support::feature(feature, &steps(engine)) {
            Support::Native => Support::Emulated { how: HOW },
            other => other,
        };
        match self.way {
            Way::Native => own,
            Way::Portable => portable(),
            Way::Auto if own.is_available() || engine.image_store().is_none() => own,
            Way::Auto => match portable() {
                served @ Support::Emulated { .. } => served,
                _ => own,
            },
        }
    }

    async fn build(&self, request: &BuildRequest, session: &Session) -> Result<BuildOutput> {
        match self.way {
            Way::Native => self.build_natively(request, session).await,
            Way::Portable => self.build_portably(request, session).await,
            Way::Auto if self.engine.image_store().is_none() => {
                self.build_natively(request, session).await
            }
            Way::Auto => {
                let portable = self.portably();
                let engine = Some(self.engine.as_ref());
                let decision = Decision::about(request, session, engine, Some(&portable)).await;
                let because = match decision.chosen {
                    Chosen::Portable => decision.because,
                    Chosen::Native => match self.build_natively(request, session).await {
                        // What no capability says, such as a mirror that the engine would not ask. It may be a
                        // part of the Dockerfile, so that only a plan that was read is tried again.
                        Err(error) if is_refused(&error) && decision.is_portable() => said(&error),
                        other => return other,
                    },
                };
                let notice = format!("building with the portable builder because {because}");
                session.events.notice(notice).await;
                self.build_portably(request, session).await
            }
        }
    }

    async fn push(&self, request: &PushRequest, session: &Session) -> Result<PushOutput> {
        let image = LocalImage::from(request.image.clone());
        if let Some((store, index)) = self.index(&image, session).await? {
            let client = transfer::client(session);
            let push = store.push_index(&client, &request.image, &index);
            return session.cancellable(push).await;
        }
        let Some((store, manifest)) = self.built(&image, session).await? else {
            return self.engine.push(request, session).await;
        };
        let client = transfer::client(session);
        let push = store.push(&client, &request.image, &manifest, PackFormat::default());
        session.cancellable(push).await
    }

    async fn pull(&self, request: &PullRequest, session: &Session) -> Result<PullOutput> {
        let output = self.engine.pull(request, session).await?;
        self.no_index(std::slice::from_ref(&request.image))?;
        Ok(output)
    }

    async fn inspect(&self, image: &LocalImage, session: &Session) -> Result<ImageDetails> {
        match (self.index(image, session).await?, image) {
            (Some((_, index)), LocalImage::Reference(_)) => {
                let mut details = self.engine.inspect(image, session).await?;
                details.images = indexes::listed(&index);
                Ok(details)
            }
            (Some((store, _)), _) => images::inspect(store, image).await,
            (None, _) => match self.engine.inspect(image, session).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.listed(image, error).await
                }
                inspected => inspected,
            },
        }
    }

    async fn list(&self, session: &Session) -> Result<Vec<ImageSummary>> {
        self.engine.list(session).await
    }

    async fn tag(&self, image: &LocalImage, name: &ImageRef, session: &Session) -> Result<()> {
        let Some((store, index)) = self.index(image, session).await? else {
            self.engine.tag(image, name, session).await?;
            return self.no_index(std::slice::from_ref(name));
        };
        let shown = held(&index, image)?;
        self.engine.tag(&shown, name, session).await?;
        store.note_published(&self.info.endpoint, std::slice::from_ref(name), &index)
    }

    async fn remove(&self, request: &RemoveRequest, session: &Session) -> Result<RemoveOutput> {
        let Some((store, index)) = self.index(&request.image, session).await? else {
            return self.engine.remove(request, session).await;
        };
        let mut inner = request.clone();
        inner.image = held(&index, &request.image)?;
        let mut output = match self.engine.remove(&inner, session).await {
            // It may have been removed there, and the index is left.
            Err(error) if error.kind() == ErrorKind::NotFound => RemoveOutput::default(),
            removed => removed?,
        };
        store.forget_published(&self.info.endpoint, &output.untagged)?;
        if let LocalImage::Id(_) | LocalImage::IdPrefix(_) = &request.image {
            let mut own = request.clone();
            own.force = true;
            output.deleted.extend(images::remove(store, &own).await?.deleted);
        }
        Ok(output)
    }

    async fn export(&self, request: &ExportRequest, session: &Session) -> Result<()> {
        if let Some((store, index)) = self.index(&request.image, session).await? {
            return archive::write_index(store, &index, request, session).await;
        }
        match self.built(&request.image, session).await? {
            // The bytes that a registry gets, whatever the engine made of them.
            Some((store, manifest)) => archive::write(store, &manifest, request, session).await,
            None => self.engine.export(request, session).await,
        }
    }

    async fn import(&self, request: &ImportRequest, session: &Session) -> Result<ImportOutput> {
        let output = self.engine.import(request, session).await?;
        self.no_index(&request.names)?;
        Ok(output)
    }

    async fn run(&self, request: &RunRequest, session: &Session) -> Result<RunOutput> {
        self.engine.run(request, session).await
    }

    async fn prune(&self, session: &Session) -> Result<PruneOutput> {
        self.engine.prune(session).await
    }

    fn step_runner(&self) -> Option<Box<dyn StepRunner + '_>> {
        self.engine.step_runner()
    }

    fn image_store(&self) -> Option<&dyn ImageStore> {
        self.engine.image_store()
    }
}
