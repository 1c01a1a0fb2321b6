//! Builds an image by the plan of its Dockerfile.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use boxwright_core::{
    BuildOutput, BuildRequest, ContextSource, Error, ErrorKind, ImageRef, Manifest, NextUse,
    Platform, Result, Secret, Session, StepRunner,
};
use boxwright_dockerfile::diagnostic::to_error;
use boxwright_dockerfile::plan::{Options, Plan};
use boxwright_image::pack::PackFormat;
use boxwright_image::upkeep;

use crate::base::Bases;
use crate::build::{Build, Shared};
use crate::origin::{self, Opened};
use crate::search::{Search, too_short};
use crate::stage::Surroundings;
use crate::store::Store;
use crate::{fit, foreign, frontend, graph, indexes, publish, time};

/// The name of this way to build.
pub const BUILDER: &str = "portable";

/// Builds images into a [`Store`].
#[derive(Clone)]
pub struct Builder<'e> {
    store: Store,
    steps: Option<&'e dyn StepRunner>,
    bases: Option<&'e dyn Bases>,
}

impl<'e> Builder<'e> {
    /// Returns a builder that keeps what it makes in `store`, and runs no command.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, steps: None, bases: None }
    }

    /// Returns the builder with `runner` for the commands of `RUN`.
    #[must_use]
    pub fn with_steps(self, runner: &'e dyn StepRunner) -> Self {
        Self { steps: Some(runner), ..self }
    }

    /// Returns the builder with the images of an engine for stages to start from.
    #[must_use]
    pub fn with_bases(self, bases: &'e dyn Bases) -> Self {
        Self { bases: Some(bases), ..self }
    }

    /// Builds an image. The same request gives the same digest everywhere, if `SOURCE_DATE_EPOCH` is set. Stages that
    /// do not need each other are built at the same time. For several platforms, one image is built after the other,
    /// and the outcome is an index of them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](boxwright_core::ErrorKind::Unsupported) for `RUN` without a runner, or for a platform whose
    /// programs cannot be run; [`ErrorKind::InvalidDockerfile`](boxwright_core::ErrorKind::InvalidDockerfile) with every problem of
    /// the file; [`ErrorKind::NotFound`](boxwright_core::ErrorKind::NotFound) when a source or base is not there; [`ErrorKind::BuildFailed`](boxwright_core::ErrorKind::BuildFailed) when a command
    /// fails, with `step`, `exit code` and the end of its `output` as context, or when a secret is found in what was
    /// made.
    pub async fn build(&self, request: &BuildRequest, session: &Session) -> Result<BuildOutput> {
        if let Some(image) = request.cache_from.first() {
            return Err(no_cache_from(image));
        }
        let user = self.store.enter().await?;
        let built = self.attempt(request, session).await;
        let built = match built.as_ref().err().and_then(upkeep::damaged) {
            // It was removed when it was found: what it held is made or fetched again.
            Some(digest) if can_repeat(request) => {
                let message =
                    format!("the blob `{digest}` of the store is damaged: it is made anew");
                session.events.warn(message, None).await;
                self.attempt(request, session).await
            }
            _ => built,
        };
        drop(user);
        if built.is_ok() {
            self.store.prune_when_due().await;
        }
        built
    }

    async fn attempt(&self, request: &BuildRequest, session: &Session) -> Result<BuildOutput> {
        let mut session = session.clone();
        // A failed stage ends the others, and nothing else of the caller's.
        session.cancel = session.cancel.child_token();
        let secrets = secrets(request, &session);
        for id in too_short(&secrets) {
            let message = format!("the secret `{id}` is too short to be looked for in the image");
            let remedy = "see that no step writes it to a file";
            session.events.warn(message, Some(remedy)).await;
        }
        let search = Search::new(&secrets, &request.allow_secret_in_layer)?.map(Arc::new);
        let around = Surroundings {
            store: self.store.clone(),
            cache: request.cache,
            epoch: time::source_date_epoch(request, &session.host)?,
            cancel: session.cancel.clone(),
            // An index lists packed images.
            pack: (request.next == NextUse::Push || request.platforms.len() > 1)
                .then(PackFormat::default),
            search,
        };
        let Opened { context, folder: _folder } = origin::open(request, &session).await?;
        let mut platforms = request.platforms.clone();
        if platforms.is_empty() {
            platforms.push(Platform::of_this_machine());
        }
        let (text, name) =
            (context.dockerfile_text().to_owned(), context.dockerfile_name().to_owned());
        let plan = |platform: &Platform| {
            let options = Options {
                target: request.target.clone(),
                build_args: request.build_args.clone(),
                platform: platform.clone(),
                contexts: request.contexts.keys().cloned().collect(),
                ..Options::default()
            };
            Plan::new(&text, options).map_err(|all| to_error(&all, &name, &text))
        };
        // What is wrong for one of the platforms is said before anything is built for another.
        let plans = platforms.iter().map(plan).collect::<Result<Vec<Plan>>>()?;
        if let Some(plan) = plans.first() {
            frontend::check(plan, &text, &session).await?;
        }
        foreign::check(&plans, self.steps, &self.store, &session).await?;
        let (mut shared, mut images) = (Shared::default(), Vec::new());
        let is_one_of_several = platforms.len() > 1;
        for (platform, plan) in platforms.into_iter().zip(plans) {
            let build = Build {
                around: around.clone(),
                request,
                session: session.clone(),
                steps: self.steps,
                bases: self.bases,
                platform: platform.clone(),
                is_one_of_several,
                proxies: plan.proxies(),
                secrets: secrets.clone(),
                text: text.clone(),
                name: name.clone(),
                context: context.clone(),
                shared,
            };
            let manifest = self.one(&build, plan).await?;
            images.push((platform, manifest));
            shared = build.shared.for_next();
        }
        let mut output = self.keep(images, request, &session).await?;
        output.bases = shared.into_bases();
        Ok(output)
    }

    /// Builds the image of one platform, and leaves it without a name.
    async fn one(&self, build: &Build<'_>, plan: Plan) -> Result<Manifest> {
        let mut stage = graph::build(build, plan).await?;
        stage.config.config.labels.extend(build.request.labels.clone());
        if let Some(search) = &build.around.search {
            search.config(&publish::json(&stage.config)?)?;
        }
        let manifest = publish::publish(&self.store, stage.clone(), build.request.format).await?;
        if build.worked() {
            fit::warn(&mut stage, &manifest, &self.store, &build.session).await?;
        }
        Ok(manifest)
    }

    /// Keeps what was built under its names: an image, or an index of several.
    async fn keep(
        &self,
        images: Vec<(Platform, Manifest)>,
        request: &BuildRequest,
        session: &Session,
    ) -> Result<BuildOutput> {
        let (store, format) = (&self.store, PackFormat::default());
        if let [(_, manifest)] = images.as_slice() {
            store.keep(manifest, &request.tags)?;
            let id = manifest.config.digest.clone();
            let mut output = BuildOutput::new(id, request.tags.clone(), BUILDER);
            // Its layers may never have been compressed: then nobody knows yet.
            output.digest = store.packed_digest(manifest, format).await?;
            return Ok(output);
        }
        let mut packed = Vec::new();
        for (platform, manifest) in images {
            let manifest = session.cancellable(store.packed(&manifest, format)).await?;
            store.keep(&manifest, &[])?;
            packed.push((platform, manifest));
        }
        let index = store.layout().put_index(packed).await?;
        store.keep_index(&index, &request.tags)?;
        let digest = index.descriptor.digest.clone();
        let mut output = BuildOutput::new(digest.clone(), request.tags.clone(), BUILDER);
        output.digest = Some(digest);
        output.images = indexes::listed(&index);
        Ok(output)
    }
}

impl fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("store", &self.store)
            .field("runs", &self.steps.is_some())
            .finish()
    }
}

fn no_cache_from(image: &ImageRef) -> Error {
    Error::new(ErrorKind::Unsupported, format!("cannot take steps from `{image}`"))
        .with_cause("the portable builder takes steps from its own cache alone")
        .with_remedy("leave `--cache-from` out")
}

/// Returns the secrets that the request names.
fn secrets(request: &BuildRequest, session: &Session) -> BTreeMap<String, Secret> {
    let named = session.secrets.iter().filter(|(id, _)| request.secrets.contains(id));
    named.map(|(id, secret)| (id.clone(), secret.clone())).collect()
}

/// Whether the context can be read a second time. A tar on standard input is gone.
fn can_repeat(request: &BuildRequest) -> bool {
    request.context != ContextSource::Tar
}
