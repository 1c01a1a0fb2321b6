//! Builds an image by the plan of its Dockerfile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boxwright_context::Context;
use boxwright_core::{
    BuildOutput, BuildRequest, ContextSource, Error, ErrorKind, Event, NextUse, Platform, Result,
    Session, StepId, StepResult,
};
use boxwright_dockerfile::diagnostic::{Diagnostic, Severity, to_error};
use boxwright_dockerfile::plan::{Action, Base, Options, Plan, Source, StageId};
use boxwright_image::pack::PackFormat;

use crate::files::Files;
use crate::memory::FileMemory;
use crate::stage::{Outcome, Stage, Surroundings};
use crate::store::Store;
use crate::{base, blocking, config, publish, time};

/// The name of this way to build.
pub const BUILDER: &str = "portable";

/// Builds images into a [`Store`], with no engine and no process.
#[derive(Clone, Debug)]
pub struct Builder {
    store: Store,
}

impl Builder {
    /// Returns a builder that keeps what it makes in `store`.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Builds an image. The same request gives the same digest everywhere, if `SOURCE_DATE_EPOCH` is set.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for `RUN` and for downloads; [`ErrorKind::InvalidDockerfile`] with every
    /// problem of the file; [`ErrorKind::NotFound`] when a source or base is not there.
    pub async fn build(&self, request: &BuildRequest, session: &Session) -> Result<BuildOutput> {
        let around = Surroundings {
            store: self.store.clone(),
            cache: request.cache,
            epoch: time::source_date_epoch(request, &session.host)?,
            cancel: session.cancel.clone(),
            pack: (request.next == NextUse::Push).then(PackFormat::default),
        };
        // An empty context is a folder too, gone when the build ends.
        let empty = match &request.context {
            ContextSource::Empty => Some(tempfile::tempdir().map_err(no_folder)?),
            _ => None,
        };
        let folder = match (&request.context, &empty) {
            (ContextSource::Folder(folder), _) => session.host.absolute(folder),
            (_, Some(empty)) => empty.path().to_owned(),
            _ => return Err(no_context()),
        };
        let source = request.dockerfile.clone();
        let context = blocking(move || Context::open(&folder, &source)).await?;
        let platform = request.platform.clone().unwrap_or_else(Platform::of_this_machine);
        let options = Options {
            target: request.target.clone(),
            build_args: request.build_args.clone(),
            platform: platform.clone(),
            ..Options::default()
        };
        let (text, name) =
            (context.dockerfile_text().to_owned(), context.dockerfile_name().to_owned());
        let plan = Plan::new(&text, options).map_err(|all| to_error(&all, &name, &text))?;
        let mut build = Build {
            around,
            request,
            session,
            platform,
            plan,
            text,
            name,
            context,
            files: None,
            stages: BTreeMap::new(),
            next: 0,
        };
        let mut stage = build.run().await?;
        stage.config.config.labels.extend(request.labels.clone());
        let manifest = publish::publish(&self.store, stage).await?;
        for tag in &request.tags {
            self.store.tag(tag, &manifest.descriptor.digest)?;
        }
        let id = manifest.config.digest.clone();
        let mut output = BuildOutput::new(id, request.tags.clone(), BUILDER);
        // Its layers may never have been compressed: then nobody knows yet.
        output.digest = self.store.packed_digest(&manifest, PackFormat::default()).await?;
        Ok(output)
    }
}

/// A build under way.
struct Build<'b> {
    around: Surroundings,
    request: &'b BuildRequest,
    session: &'b Session,
    platform: Platform,
    plan: Plan,
    text: String,
    name: String,
    context: Context,
    files: Option<Arc<Files>>,
    stages: BTreeMap<StageId, (Stage, Base)>,
    next: u32,
}

impl Build<'_> {
    async fn run(&mut self) -> Result<Stage> {
        self.warn(self.plan.warnings()).await;
        let mut opened: BTreeMap<StageId, (Stage, Base)> = BTreeMap::new();
        let mut done = BTreeSet::new();
        // Triggers of a base may need further stages, so what is needed is asked for again after each.
        loop {
            let next = self.plan.needed().map(|it| it.id).find(|id| !done.contains(id));
            let Some(id) = next else { break };
            let Some((stage, base)) = opened.remove(&id) else {
                let (mut stage, base) = self.open(id).await?;
                let triggers = config::take_triggers(&mut stage.config);
                let added = self.plan.add_triggers(id, &triggers);
                added.map_err(|all| to_error(&all, &self.name, &self.text))?;
                opened.insert(id, (stage, base));
                continue;
            };
            let built = self.stage(id, stage, &base).await?;
            self.stages.insert(id, built);
            done.insert(id);
        }
        let target = self.plan.target();
        let built = self.stages.remove(&target);
        built
            .map(|(stage, _)| stage)
            .ok_or_else(|| Error::new(ErrorKind::Bug, "the target was not built"))
    }

    /// Returns what a stage starts with.
    async fn open(&self, id: StageId) -> Result<(Stage, Base)> {
        let stage = self
            .plan
            .stage(id)
            .ok_or_else(|| Error::new(ErrorKind::Bug, "there is no such stage"))?;
        let platform = stage.platform.as_ref().unwrap_or(&self.platform);
        match &stage.base {
            Source::Stage(id) => {
                let built = self.stages.get(id).cloned();
                built.ok_or_else(|| Error::new(ErrorKind::Bug, "a stage comes before its base"))
            }
            Source::Image(name) => {
                let stage = self.image(name, platform).await?;
                let config = &stage.config.config;
                let shell = config.shell.as_deref().unwrap_or_default();
                let base = Base::of_image(&config.env, &config.working_dir, &config.user, shell);
                Ok((stage, base))
            }
            _ => Ok((Stage::scratch(config::empty(platform)), Base::scratch())),
        }
    }

    async fn image(&self, name: &str, platform: &Platform) -> Result<Stage> {
        let store = &self.around.store;
        let manifest =
            base::resolve(store, name, platform, self.request.pull, self.session).await?;
        let config = store.layout().config(&manifest).await?;
        Ok(Stage::of_image(config, &manifest))
    }

    async fn stage(&mut self, id: StageId, mut stage: Stage, base: &Base) -> Result<(Stage, Base)> {
        let evaluated = self.plan.evaluate(id, base);
        let evaluated = evaluated.map_err(|all| to_error(&all, &self.name, &self.text))?;
        self.warn(&evaluated.warnings).await;
        let title = match self.plan.stage(id).and_then(|it| it.name.clone()) {
            Some(name) => format!("{name} "),
            None => String::new(),
        };
        let count = evaluated.steps.len();
        for (number, step) in evaluated.steps.iter().enumerate() {
            if self.session.cancel.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "the build was cancelled"));
            }
            let name = format!("[{title}{}/{count}] {}", number + 1, step.text);
            let id = StepId(self.next);
            self.next += 1;
            self.session.events.emit(Event::StepStarted { step: id, name }).await;
            let done = match self.source(&step.action).await {
                Ok(files) => stage.step(&evaluated, step, &files, &self.around).await,
                Err(error) => Err(error),
            };
            let result = match &done {
                Ok(Outcome::Done) => StepResult::Done,
                Ok(Outcome::Cached) => StepResult::Cached,
                Err(error) if error.kind() == ErrorKind::Cancelled => StepResult::Cancelled,
                Err(error) => StepResult::Failed { error: error.to_string(), exit_code: None },
            };
            self.session.events.emit(Event::StepFinished { step: id, result }).await;
            let line = step.span.line(&self.text);
            done.map_err(|error| error.with_context("location", format!("{}:{line}", self.name)))?;
            if let Some(files) = self.files.clone() {
                // What is not remembered is read again: no reason to fail.
                blocking(move || {
                    files.save();
                    Ok(())
                })
                .await?;
            }
        }
        let env = evaluated.result.env.iter().map(|(name, value)| format!("{name}={value}"));
        stage.config.config.env = env.collect();
        Ok((stage, evaluated.result))
    }

    /// Lists the files that a step copies.
    async fn source(&mut self, action: &Action) -> Result<Arc<Files>> {
        let Action::Copy(copy) = action else { return Ok(Arc::new(Files::nothing())) };
        let store = self.around.store.clone();
        match &copy.source {
            Source::Context => {
                if let Some(files) = &self.files {
                    return Ok(files.clone());
                }
                let (context, keeps) = (self.context.clone(), self.remembers_files());
                let list = move || {
                    let memory = match keeps {
                        true => store.file_memory(context.folder()),
                        false => FileMemory::default(),
                    };
                    Files::of_context(context, memory)
                };
                let files = Arc::new(blocking(list).await?);
                for socket in &files.sockets {
                    let message =
                        format!("the socket `{socket}` is left out: no image can hold one");
                    self.session.events.emit(Event::Warning { message, remedy: None }).await;
                }
                self.files = Some(files.clone());
                Ok(files)
            }
            Source::Stage(id) => match self.stages.get_mut(id) {
                Some((stage, _)) => Ok(Arc::new(stage.files(&store).await?)),
                None => {
                    Err(Error::new(ErrorKind::Bug, "a stage is copied from before it is built"))
                }
            },
            Source::Image(name) => {
                let mut image = self.image(name, &self.platform).await?;
                Ok(Arc::new(image.files(&store).await?))
            }
            Source::NamedContext(name) => Err(Error::new(
                ErrorKind::Unsupported,
                format!("cannot copy from the context `{name}`"),
            )
            .with_cause("the portable builder knows no further contexts yet")
            .with_remedy("put the files into the build context")),
            Source::Scratch => Ok(Arc::new(Files::nothing())),
        }
    }

    /// Whether another build may find the same files in the same place.
    fn remembers_files(&self) -> bool {
        matches!(self.request.context, ContextSource::Folder(_))
    }

    async fn warn(&self, all: &[Diagnostic]) {
        for warning in all.iter().filter(|it| it.severity == Severity::Warning) {
            let (message, remedy) = (warning.message.clone(), warning.remedy.clone());
            self.session.events.emit(Event::Warning { message, remedy }).await;
        }
    }
}

fn no_folder(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "cannot make a temporary folder").with_source(error)
}

fn no_context() -> Error {
    Error::new(ErrorKind::Unsupported, "cannot build from that context")
        .with_cause("the portable builder takes folders alone yet")
        .with_remedy("name a folder, such as `.`")
}
