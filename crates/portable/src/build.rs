//! What the stages of one build share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use boxwright_context::Context;
use boxwright_core::{
    BuildRequest, ContextSource, Descriptor, Digest, Error, ErrorKind, Event, Manifest, Platform,
    Result, Secret, Session, StepId, StepResult, StepRunner,
};
use boxwright_dockerfile::plan::{Action, Base, Source, StageId};
use tokio::sync::OnceCell;

use crate::files::Files;
use crate::memory::FileMemory;
use crate::named::{self, Named};
use crate::relay::Relay;
use crate::search::Search;
use crate::stage::{Stage, Surroundings};
use crate::store::Store;
use crate::{base, blocking};

/// A build under way.
pub(crate) struct Build<'b> {
    pub(crate) around: Surroundings,
    pub(crate) request: &'b BuildRequest,
    /// The caller's, with a token of its own that ends the other stages when one fails.
    pub(crate) session: Session,
    pub(crate) steps: Option<&'b dyn StepRunner>,
    pub(crate) bases: Option<&'b dyn base::Bases>,
    pub(crate) platform: Platform,
    /// Whether it is one of several for other platforms, so that its steps say which.
    pub(crate) is_one_of_several: bool,
    pub(crate) proxies: BTreeMap<String, String>,
    /// Those that the request names.
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// The Dockerfile, and its name.
    pub(crate) text: String,
    pub(crate) name: String,
    pub(crate) context: Context,
    pub(crate) shared: Shared,
}

/// What is read once, when the first stage needs it.
#[derive(Default)]
pub(crate) struct Shared {
    files: OnceCell<Arc<Files>>,
    stages: Mutex<BTreeMap<StageId, Arc<Built>>>,
    images: Mutex<BTreeMap<String, Arc<OnceCell<Arc<Built>>>>>,
    named: Mutex<BTreeMap<String, Arc<OnceCell<Named>>>>,
    bases: Mutex<BTreeMap<String, Digest>>,
    next: AtomicU32,
    /// Whether a step was done, and not taken from an earlier build.
    worked: AtomicBool,
}

impl Shared {
    /// Returns what the build for the next platform need not read again.
    pub(crate) fn for_next(self) -> Self {
        let mut named = self.named.into_inner().unwrap_or_else(PoisonError::into_inner);
        // An image is one for a platform.
        named.retain(|_, cell| matches!(cell.get(), Some(Named::Files(_))));
        let named = Mutex::new(named);
        Self { files: self.files, named, bases: self.bases, next: self.next, ..Self::default() }
    }

    /// Returns the images that were used, by their names as they are written (of a build for several platforms with
    /// the platform behind), with the digests of their manifests.
    pub(crate) fn into_bases(self) -> BTreeMap<String, Digest> {
        self.bases.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stage or an image, ready to be started from and copied from.
pub(crate) struct Built {
    pub(crate) stage: Stage,
    pub(crate) base: Base,
    files: OnceCell<Arc<Files>>,
}

impl Built {
    pub(crate) fn new(stage: Stage, base: Base) -> Self {
        Self { stage, base, files: OnceCell::new() }
    }

    /// Returns an image of the store.
    pub(crate) async fn of_image(store: &Store, manifest: &Manifest) -> Result<Self> {
        let stage = Stage::of_image(store.layout().config(manifest).await?, manifest);
        let config = &stage.config.config;
        let shell = config.shell.as_deref().unwrap_or_default();
        let base = Base::of_image(&config.env, &config.working_dir, &config.user, shell);
        Ok(Self::new(stage, base))
    }

    /// Lists its files.
    pub(crate) async fn files(&self, store: &Store) -> Result<Arc<Files>> {
        let files = self.files.get_or_try_init(|| async {
            let mut stage = self.stage.clone();
            Ok::<_, Error>(Arc::new(stage.files(store).await?))
        });
        files.await.cloned()
    }
}

impl Build<'_> {
    /// Returns the platform with a space after it, if there is more than one.
    pub(crate) fn shown_platform(&self) -> String {
        if self.is_one_of_several { format!("{} ", self.platform) } else { String::new() }
    }

    /// Announces a step.
    pub(crate) async fn begin(&self, name: String) -> StepId {
        let id = StepId(self.shared.next.fetch_add(1, Ordering::Relaxed));
        self.session.events.emit(Event::StepStarted { step: id, name }).await;
        id
    }

    /// Tells how a step ended.
    pub(crate) async fn end<T: Sync>(&self, id: StepId, done: &Result<T>, result: StepResult) {
        if done.is_ok() && result == StepResult::Done {
            self.shared.worked.store(true, Ordering::Relaxed);
        }
        let result = match done {
            Ok(_) => result,
            Err(error) if error.kind() == ErrorKind::Cancelled => StepResult::Cancelled,
            Err(error) => {
                let code = error.context().iter().find(|(name, _)| *name == "exit code");
                let exit_code = code.and_then(|(_, code)| code.parse().ok());
                StepResult::Failed { error: error.to_string(), exit_code }
            }
        };
        self.session.events.emit(Event::StepFinished { step: id, result }).await;
    }

    /// Returns a stage that was built.
    pub(crate) fn built(&self, id: StageId) -> Result<Arc<Built>> {
        let stages = self.shared.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages
            .get(&id)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::Bug, "a stage is needed before it is built"))
    }

    pub(crate) fn is_built(&self, id: StageId) -> bool {
        self.built(id).is_ok()
    }

    pub(crate) fn keep(&self, id: StageId, built: Arc<Built>) {
        let mut stages = self.shared.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.insert(id, built);
    }

    /// Returns an image, which is looked up once in a build.
    pub(crate) async fn image(&self, name: &str, platform: &Platform) -> Result<Arc<Built>> {
        let cell = {
            let mut images = self.shared.images.lock().unwrap_or_else(PoisonError::into_inner);
            images.entry(format!("{name} {platform}")).or_default().clone()
        };
        cell.get_or_try_init(|| self.resolve(name, platform)).await.cloned()
    }

    async fn resolve(&self, name: &str, platform: &Platform) -> Result<Arc<Built>> {
        let title = match self.is_one_of_several {
            true => format!("[{platform}] FROM {name}"),
            false => format!("FROM {name}"),
        };
        let id = self.begin(title).await;
        let store = &self.around.store;
        let (relay, session) = Relay::new(&self.session, std::iter::empty());
        let relay = relay.of_step(id);
        let (bases, pull) = (self.bases, self.request.pull);
        let resolve =
            async move { base::resolve(store, bases, name, platform, pull, &session).await };
        let (found, _) = relay.during(resolve).await;
        let result = match &found {
            Ok(base::Found { pulled: false, .. }) => StepResult::Cached,
            _ => StepResult::Done,
        };
        self.end(id, &found, result).await;
        let manifest = found?.manifest;
        self.note_base(name, platform, &manifest);
        Ok(Arc::new(Built::of_image(store, &manifest).await?))
    }

    fn note_base(&self, name: &str, platform: &Platform, manifest: &Manifest) {
        let mut bases = self.shared.bases.lock().unwrap_or_else(PoisonError::into_inner);
        let name = match self.is_one_of_several {
            true => format!("{name} ({platform})"),
            false => name.to_owned(),
        };
        bases.insert(name, manifest.descriptor.digest.clone());
    }

    /// Returns whether a step was done.
    pub(crate) fn worked(&self) -> bool {
        self.shared.worked.load(Ordering::Relaxed)
    }

    /// Lists the files of the context.
    pub(crate) async fn context_files(&self) -> Result<Arc<Files>> {
        let list = || async {
            let (context, store) = (self.context.clone(), self.around.store.clone());
            // Another build may find the same files in a folder, and in nothing else.
            let keeps = matches!(self.request.context, ContextSource::Folder(_));
            let list = move || {
                let memory = match keeps {
                    true => store.file_memory(context.folder()),
                    false => FileMemory::default(),
                };
                Files::of_context(context, memory)
            };
            let files = Arc::new(blocking(list).await?);
            for socket in &files.sockets {
                let message = format!("the socket `{socket}` is left out: no image can hold one");
                self.session.events.warn(message, None).await;
            }
            Ok::<_, Error>(files)
        };
        self.shared.files.get_or_try_init(list).await.cloned()
    }

    /// Keeps what was found out of the files of the context.
    pub(crate) async fn save_files(&self) -> Result<()> {
        let Some(files) = self.shared.files.get().cloned() else { return Ok(()) };
        let save = move || {
            // What is not remembered is read again: no reason to fail.
            files.save();
            Ok(())
        };
        blocking(save).await
    }

    /// Lists the files that a step copies.
    pub(crate) async fn source(&self, action: &Action) -> Result<Arc<Files>> {
        match action {
            Action::Copy(copy) => self.files_of(&copy.source).await,
            _ => Ok(Arc::new(Files::nothing())),
        }
    }

    /// Lists the files of a source.
    pub(crate) async fn files_of(&self, source: &Source) -> Result<Arc<Files>> {
        let store = &self.around.store;
        match source {
            Source::Context => self.context_files().await,
            Source::Stage(id) => self.built(*id)?.files(store).await,
            Source::Image(name) => self.image(name, &self.platform).await?.files(store).await,
            Source::NamedContext(name) => match self.named(name).await? {
                Named::Files(named) => Ok(named.files.clone()),
                Named::Image(image) => image.files(store).await,
            },
            Source::Scratch => Ok(Arc::new(Files::nothing())),
        }
    }

    /// Returns a further context, which is opened once in a build.
    pub(crate) async fn named(&self, name: &str) -> Result<Named> {
        let cell = {
            let mut named = self.shared.named.lock().unwrap_or_else(PoisonError::into_inner);
            named.entry(name.to_owned()).or_default().clone()
        };
        cell.get_or_try_init(|| named::open(self, name)).await.cloned()
    }

    /// Fails if a secret of the build is in a new layer.
    pub(crate) async fn search(&self, layer: Option<&(Descriptor, Digest)>) -> Result<()> {
        search(&self.around, layer).await
    }
}

/// Fails if a secret of the build is in a new layer.
pub(crate) async fn search(
    around: &Surroundings,
    layer: Option<&(Descriptor, Digest)>,
) -> Result<()> {
    let (Some(search), Some(layer)) = (&around.search, layer) else { return Ok(()) };
    let (search, layer): (Arc<Search>, _) = (search.clone(), layer.clone());
    let layout = around.store.layout().clone();
    blocking(move || search.layer(&layout, &layer)).await
}
