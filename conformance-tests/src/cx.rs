//! What a case may use: an engine, a folder of its own, names of its own, and a record of what happened.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use boxwright_core::{
    BuildOutput, BuildRequest, CancellationToken, Capability, ContextSource, Engine, ExportRequest,
    Host, ImageRef, LocalImage, RemoveRequest, Session, Support,
};
use tempfile::TempDir;

use crate::artifact::Image;
use crate::case::{CaseResult, Failure, Runnable};
use crate::column::Column;
use crate::environment::{Environment, RegistryKind};
use crate::log::{Log, Recorder};
use crate::made::Made;
use crate::runner::Run;

/// The label on every image that a case builds.
pub(crate) const LABEL: &str = "dev.boxwright.conformance";

/// The build argument that says which time images have.
const EPOCH_ARGUMENT: &str = "SOURCE_DATE_EPOCH";

/// The time of images that are compared, in seconds since 1970.
const EPOCH: &str = "1700000000";

/// What one case on one engine may use. Cheap to clone.
///
/// Everything that is made through it is named after the case and removed when the case ends, however it ends.
#[derive(Clone, Debug)]
pub struct Cx(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    column: Column,
    host: Host,
    /// The case's words in names: the run, the column and the case.
    slug: String,
    /// The case's words in images: without the column where columns are compared, so that their images are the same.
    words: String,
    /// Seconds since 1970, as `SOURCE_DATE_EPOCH` has them, where the images have no other time.
    epoch: Option<&'static str>,
    path: PathBuf,
    /// Goes when the case has ended; the names of what it made are needed until all have.
    folder: Mutex<Option<TempDir>>,
    cancel: CancellationToken,
    counter: AtomicU32,
    /// Whether a Dockerfile had a step to run.
    had_steps: AtomicBool,
    made: Mutex<Vec<LocalImage>>,
    logs: Mutex<Vec<Log>>,
    images: Mutex<Vec<Image>>,
    builds: Mutex<Vec<Option<Made>>>,
    note: Mutex<Option<String>>,
}

/// What a call came to, and what was reported meanwhile.
#[derive(Debug)]
pub struct Attempt<T> {
    /// How it ended.
    pub result: boxwright_core::Result<T>,
    /// What was reported.
    pub log: Log,
}

impl Cx {
    /// Returns what a case may use on `column`.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`] when no folder can be made.
    pub(crate) fn new<C: Runnable>(
        column: &Column,
        host: &Host,
        run: &Run<C>,
        case: &C,
    ) -> CaseResult<Self> {
        let folder = tempfile::Builder::new()
            .prefix("boxwright-conformance-")
            .tempdir_in(host.temporary_folder())?;
        // Engines of other users read the context through this process, so nothing needs to be open to them.
        std::fs::create_dir(folder.path().join("context"))?;
        let slug = slug(&run.name, &column.name, &case.slug());
        let words = match column.is_fixed {
            true => format!("{}/{}", run.words, case.slug()),
            false => slug.clone(),
        };
        let epoch = Some(EPOCH).filter(|_| column.is_fixed);
        Ok(Self(Arc::new(Inner {
            column: column.clone(),
            host: host.clone(),
            slug,
            words,
            epoch,
            path: folder.path().to_owned(),
            folder: Mutex::new(Some(folder)),
            cancel: CancellationToken::new(),
            counter: AtomicU32::new(0),
            had_steps: AtomicBool::new(false),
            made: Mutex::default(),
            logs: Mutex::default(),
            images: Mutex::default(),
            builds: Mutex::default(),
            note: Mutex::default(),
        })))
    }

    /// Returns the engine.
    #[must_use]
    pub fn engine(&self) -> &dyn Engine {
        self.0.column.engine.as_ref()
    }

    /// Returns the same engine, where what a build needs decides which builder builds.
    #[must_use]
    pub fn auto(&self) -> &dyn Engine {
        self.0.column.auto.as_ref()
    }

    /// Returns the engine that this one is compared with, if it builds portably.
    #[must_use]
    pub fn reference(&self) -> Option<&dyn Engine> {
        self.0.column.reference.as_deref()
    }

    /// Notes what was found, for the report.
    pub fn note(&self, text: impl Into<String>) {
        *lock(&self.0.note) = Some(text.into());
    }

    /// Returns what was noted.
    pub(crate) fn noted(&self) -> Option<String> {
        lock(&self.0.note).clone()
    }

    /// Returns the name of the column.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.0.column.name
    }

    /// Returns the words that are in all names of the case, and in those of no other.
    #[must_use]
    pub fn slug(&self) -> &str {
        &self.0.slug
    }

    /// Returns the words that are in images of the case, and in those of no other. Columns whose images are compared
    /// have the same ones.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.0.words
    }

    /// Returns the machine.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// Returns registries and credentials.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.column.environment
    }

    /// Returns whether the engine's processes can be seen from here.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.column.is_local
    }

    /// Returns whether the engine says that it has `capability`.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        !matches!(self.engine().capabilities().get(capability), Support::Unsupported { .. })
    }

    /// Returns the token that fires when the case's time is up.
    #[must_use]
    pub fn cancel(&self) -> &CancellationToken {
        &self.0.cancel
    }

    /// Returns a session with the right credentials and settings, and no secrets.
    #[must_use]
    pub fn session(&self) -> Session {
        let mut session = Session::new(self.0.host.clone());
        session.credentials = self.environment().credentials();
        session.registries = Arc::new(self.environment().settings());
        session.cancel = self.0.cancel.child_token();
        session
    }

    // ---- Files.

    /// Returns the case's own build context.
    #[must_use]
    pub fn context(&self) -> PathBuf {
        self.0.path.join("context")
    }

    /// Returns a path of the case's own outside the context, where nothing is yet.
    #[must_use]
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.0.path.join(format!("{}-{name}", self.next()))
    }

    /// Writes a file into the context, with the folders above it.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`].
    pub fn write(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> CaseResult {
        let path = self.context().join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, content)?;
        Ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?)
    }

    /// Makes a folder in the context, with the folders above it.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`].
    pub fn folder(&self, path: &str, mode: u32) -> CaseResult {
        let path = self.context().join(path);
        std::fs::create_dir_all(&path)?;
        Ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?)
    }

    /// Makes a symbolic link in the context.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`].
    pub fn symlink(&self, target: &str, path: &str) -> CaseResult {
        Ok(std::os::unix::fs::symlink(target, self.context().join(path))?)
    }

    // ---- Names.

    fn next(&self) -> u32 {
        self.0.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns a new name that no other case has, for an image that stays in the engine's store.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`] when the case's id cannot be part of a name.
    pub fn name(&self) -> CaseResult<ImageRef> {
        self.new_name("localhost")
    }

    /// Returns a new name that no other case has, in a registry.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`] when there is no registry of that kind.
    pub fn name_in(&self, kind: RegistryKind) -> CaseResult<ImageRef> {
        self.new_name(self.environment().registry(kind)?)
    }

    /// Returns a new name that no other case has, in the registry at `host`.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`] when it is no host.
    pub fn new_name(&self, host: &str) -> CaseResult<ImageRef> {
        let name = format!("{host}/boxwright-conformance/{}:{}", self.0.slug, self.next());
        let name: ImageRef =
            name.parse().map_err(|error| Failure::harness(format!("{error}: {name}")))?;
        self.will_make(name.clone());
        Ok(name)
    }

    /// Returns the base image's name.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`] when the environment has none.
    pub fn base(&self) -> CaseResult<ImageRef> {
        Ok(self.environment().base()?.clone())
    }

    /// Has `image` removed when the case ends.
    pub fn will_make(&self, image: impl Into<LocalImage>) {
        lock(&self.0.made).push(image.into());
    }

    // ---- Builds.

    /// Returns a request to build the context by `dockerfile`, which is written into it, under a new name.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`].
    pub fn request(&self, dockerfile: &str) -> CaseResult<BuildRequest> {
        self.write("Dockerfile", 0o644, dockerfile)?;
        if has_steps(dockerfile) {
            self.0.had_steps.store(true, Ordering::Relaxed);
        }
        self.new_request(ContextSource::Folder(self.context()))
    }

    /// Returns a request to build `context` under a new name. A label makes its image another one than that
    /// of any other case, so that none is removed under another's hands.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`].
    pub fn new_request(&self, context: ContextSource) -> CaseResult<BuildRequest> {
        let mut request = BuildRequest::new(context);
        request.tags = vec![self.name()?];
        request.labels.insert(LABEL.to_owned(), self.0.words.clone());
        Ok(request)
    }

    /// Builds, whatever comes of it.
    pub async fn attempt(&self, request: &BuildRequest) -> Attempt<BuildOutput> {
        self.attempt_in(request, self.session()).await
    }

    /// Builds in a session of the case's own, whatever comes of it.
    pub async fn attempt_in(
        &self,
        request: &BuildRequest,
        session: Session,
    ) -> Attempt<BuildOutput> {
        request.tags.iter().for_each(|tag| self.will_make(tag.clone()));
        let number = self.begin_build();
        let mut request = request.clone();
        if let Some(epoch) = self.0.epoch {
            request.build_args.entry(EPOCH_ARGUMENT.to_owned()).or_insert_with(|| epoch.to_owned());
        }
        let request = &request;
        let call = |session| async move { self.engine().build(request, &session).await };
        let attempt = self.record(session, call).await;
        if let Ok(output) = &attempt.result {
            self.will_make(output.id.clone());
            self.end_build(number, output).await;
        }
        attempt
    }

    /// Numbers a build, before anything can be at the same time.
    fn begin_build(&self) -> usize {
        let mut builds = lock(&self.0.builds);
        builds.push(None);
        builds.len() - 1
    }

    async fn end_build(&self, number: usize, output: &BuildOutput) {
        let made = if self.0.column.is_portable() {
            self.0.column.store.made(output).await
        } else {
            Made { id: output.id.clone(), digest: None }
        };
        lock(&self.0.builds)[number] = Some(made);
    }

    /// Returns what the builds of the case made, in their order. `None`: it made nothing.
    pub(crate) fn builds(&self) -> Vec<Option<Made>> {
        lock(&self.0.builds).clone()
    }

    /// Makes one call with its events recorded.
    pub async fn record<T, F>(
        &self,
        session: Session,
        call: impl FnOnce(Session) -> F + Send,
    ) -> Attempt<T>
    where
        T: Send,
        F: Future<Output = boxwright_core::Result<T>> + Send,
    {
        let recorder = Recorder::start();
        let session = session.with_events(recorder.sink());
        let result = call(session).await;
        let log = recorder.finish().await;
        lock(&self.0.logs).push(log.clone());
        Attempt { result, log }
    }

    /// Builds the context by `dockerfile` and reads the image.
    ///
    /// # Errors
    ///
    /// [`Failure::Engine`] when it cannot be built.
    pub async fn build(&self, dockerfile: &str) -> CaseResult<Image> {
        let request = self.request(dockerfile)?;
        self.build_from(&request).await
    }

    /// Builds and reads the image.
    ///
    /// # Errors
    ///
    /// [`Failure::Engine`] when it cannot be built.
    pub async fn build_from(&self, request: &BuildRequest) -> CaseResult<Image> {
        let output = self.attempt(request).await.result?;
        self.read(output.id).await
    }

    /// Builds `dockerfile` and returns the error that must come of it.
    ///
    /// # Errors
    ///
    /// [`Failure::Promise`] when it can be built.
    pub async fn build_error(&self, dockerfile: &str) -> CaseResult<boxwright_core::Error> {
        let request = self.request(dockerfile)?;
        let attempt = self.attempt(&request).await;
        let Err(error) = attempt.result else {
            return Err(Failure::promise("the build should fail, and succeeds"));
        };
        self.expect_absent(&request.tags).await?;
        Ok(error)
    }

    /// Exports an image and reads it.
    ///
    /// # Errors
    ///
    /// [`Failure::Engine`] when it cannot be exported, [`Failure::Promise`] when the archive is none.
    pub async fn read(&self, image: impl Into<LocalImage>) -> CaseResult<Image> {
        let archive = self.scratch("image.tar");
        let request = ExportRequest::new(image.into(), archive.clone());
        self.engine().export(&request, &self.session()).await?;
        self.read_archive(&archive).await
    }

    /// Reads an image from an archive.
    ///
    /// # Errors
    ///
    /// [`Failure::Promise`] when the archive is none of one image.
    pub async fn read_archive(&self, archive: &Path) -> CaseResult<Image> {
        let image = Image::from_archive(archive, &self.scratch("layout")).await?;
        lock(&self.0.images).push(image.clone());
        Ok(image)
    }

    /// Pulls an image from its registry with code of the suite's own and reads it.
    ///
    /// # Errors
    ///
    /// [`Failure::Engine`] when the registry does not give it.
    pub async fn read_registry(&self, name: &ImageRef) -> CaseResult<Image> {
        let image = Image::from_registry(name, &self.session(), &self.scratch("layout")).await?;
        lock(&self.0.images).push(image.clone());
        Ok(image)
    }

    /// Fails unless no image has one of these names.
    ///
    /// # Errors
    ///
    /// [`Failure::Promise`].
    pub async fn expect_absent(&self, names: &[ImageRef]) -> CaseResult {
        for image in self.engine().list(&self.session()).await? {
            for name in &image.names {
                crate::expect!(!names.contains(name), "`{name}` is there, and should not be");
            }
        }
        Ok(())
    }

    /// Returns whether a Dockerfile of the case had a step to run.
    pub(crate) fn had_steps(&self) -> bool {
        self.0.had_steps.load(Ordering::Relaxed)
    }

    // ---- The end.

    /// Removes the case's files.
    pub(crate) fn close(&self) {
        drop(lock(&self.0.folder).take());
        // What was read refers to them.
        lock(&self.0.images).clear();
    }

    /// Returns what was reported in all calls so far.
    #[must_use]
    pub fn logs(&self) -> Vec<Log> {
        lock(&self.0.logs).clone()
    }

    /// Returns all images that were read so far.
    #[must_use]
    pub fn images(&self) -> Vec<Image> {
        lock(&self.0.images).clone()
    }

    /// Removes every image that the case made.
    ///
    /// # Errors
    ///
    /// The first error other than that the image is gone already.
    pub async fn clean_up(&self) -> boxwright_core::Result<()> {
        if !self.can(Capability::Remove) {
            return Ok(());
        }
        // Not the case's own session: that one may be cancelled.
        let session = Session::new(self.0.host.clone());
        let mut made: Vec<LocalImage> = std::mem::take(&mut lock(&self.0.made));
        // Names first: an id with several names is not removed as easily.
        made.sort_by_key(|image| matches!(image, LocalImage::Id(_)));
        made.dedup();
        let mut first = Ok(());
        for image in made {
            let mut request = RemoveRequest::new(image);
            request.force = true;
            let removed = self.engine().remove(&request, &session).await;
            first = first.and(removed.map(drop).or_else(crate::tidy::unless_gone));
        }
        first
    }
}

/// Returns the words in names and labels that say which run, engine and case they are of.
pub(crate) fn slug(run: &str, column: &str, id: &str) -> String {
    let words = column.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let column = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    format!("{run}/{column}/{id}")
}

/// Whether a Dockerfile runs something in a stage.
fn has_steps(dockerfile: &str) -> bool {
    let words = dockerfile.lines().filter_map(|line| line.split_whitespace().next());
    words.map(str::to_ascii_uppercase).skip_while(|word| word != "FROM").any(|word| word == "RUN")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::has_steps;

    #[test]
    fn a_step_is_a_run_in_a_stage() {
        assert!(has_steps("ARG a\nFROM scratch\n  run true\n"));
        assert!(!has_steps("RUN true\nFROM scratch\nONBUILD RUN true\nLABEL a=RUN\n"));
    }
}
