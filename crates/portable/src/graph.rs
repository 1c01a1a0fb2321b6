//! Builds the stages that the target needs, each as soon as what it needs is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use boxwright_core::{Error, ErrorKind, Event, Result, Session, StepResult};
use boxwright_dockerfile::diagnostic::{Diagnostic, Severity, to_error};
use boxwright_dockerfile::plan::{Action, Base, Evaluated, Plan, Source, StageId, Step};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::build::{Build, Built};
use crate::config;
use crate::fetch::{self, AllFetched};
use crate::named::{self, Named};
use crate::stage::{Outcome, Stage};

/// How far a stage is.
enum State {
    /// Its base is looked for.
    Opening,
    /// Its base is there, and all its instructions are known.
    Opened(Box<(Stage, Base)>),
    /// Its steps are done.
    Building,
}

/// What became of some work on a stage.
enum Progress {
    Opened(StageId, Box<(Stage, Base)>),
    Built(StageId, Arc<Built>),
}

type Work<'w> = BoxFuture<'w, Result<Progress>>;

/// Builds the target of `plan`.
pub(crate) async fn build(build: &Build<'_>, mut plan: Plan) -> Result<Stage> {
    warn(build, plan.warnings()).await;
    let mut states = BTreeMap::new();
    let mut working = FuturesUnordered::new();
    let target = plan.target();
    let failed = loop {
        match start(build, &plan, &mut states, &mut working).await {
            Ok(()) => {}
            Err(error) => break error,
        }
        let done = match working.next().await {
            Some(Ok(done)) => done,
            Some(Err(error)) => break error,
            None => break Error::new(ErrorKind::Bug, "the stages wait for each other"),
        };
        match done {
            Progress::Opened(id, mut opened) => {
                let triggers = config::take_triggers(&mut opened.0.config);
                // Those of a stage of the file are in the plan already.
                let of_image = !matches!(plan.stage(id).map(|it| &it.base), Some(Source::Stage(_)));
                let triggers = if of_image { triggers } else { Vec::new() };
                if let Err(all) = plan.add_triggers(id, &triggers) {
                    break to_error(&all, &build.name, &build.text);
                }
                states.insert(id, State::Opened(opened));
            }
            Progress::Built(id, built) if id == target => return Ok(built.stage.clone()),
            Progress::Built(id, built) => build.keep(id, built),
        }
    };
    // The others end what they do, and clean up. What they say of being cancelled is no news.
    build.session.cancel.cancel();
    while working.next().await.is_some() {}
    Err(failed)
}

/// Starts all that can be started.
async fn start<'w>(
    build: &'w Build<'_>,
    plan: &Plan,
    states: &mut BTreeMap<StageId, State>,
    working: &mut FuturesUnordered<Work<'w>>,
) -> Result<()> {
    for stage in plan.needed() {
        let id = stage.id;
        let is_there = |source: &Source| match source {
            Source::Stage(id) => build.is_built(*id),
            _ => true,
        };
        match states.get(&id) {
            None if is_there(&stage.base) => {
                states.insert(id, State::Opening);
                let (base, platform) = (stage.base.clone(), stage.platform.clone());
                working.push(Box::pin(async move {
                    let platform = platform.as_ref().unwrap_or(&build.platform);
                    let opened = open(build, &base, platform).await?;
                    Ok(Progress::Opened(id, Box::new(opened)))
                }));
            }
            Some(State::Opened(_)) if stage.sources.iter().all(is_there) => {
                let Some(State::Opened(opened)) = states.insert(id, State::Building) else {
                    continue;
                };
                let (opened, base) = *opened;
                let evaluated = plan.evaluate(id, &base);
                let evaluated =
                    evaluated.map_err(|all| to_error(&all, &build.name, &build.text))?;
                warn(build, &evaluated.warnings).await;
                let name = stage.name.as_ref().map_or_else(String::new, |it| format!("{it} "));
                let title = format!("{}{name}", build.shown_platform());
                working.push(Box::pin(async move {
                    let built = steps(build, opened, evaluated, &title).await?;
                    Ok(Progress::Built(id, Arc::new(built)))
                }));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns what a stage starts with.
async fn open(
    build: &Build<'_>,
    base: &Source,
    platform: &boxwright_core::Platform,
) -> Result<(Stage, Base)> {
    match base {
        Source::Stage(id) => {
            let built = build.built(*id)?;
            Ok((built.stage.clone(), built.base.clone()))
        }
        Source::Image(name) => {
            let image = build.image(name, platform).await?;
            Ok((image.stage.clone(), image.base.clone()))
        }
        Source::NamedContext(name) => match build.named(name).await? {
            Named::Files(files) => {
                Ok((named::stage(build, &files, platform).await?, Base::scratch()))
            }
            Named::Image(image) => Ok((image.stage.clone(), image.base.clone())),
        },
        Source::Scratch | Source::Context => {
            Ok((Stage::scratch(config::empty(platform)), Base::scratch()))
        }
    }
}

async fn steps(
    build: &Build<'_>,
    mut stage: Stage,
    evaluated: Evaluated,
    title: &str,
) -> Result<Built> {
    let count = evaluated.steps.len();
    for (number, step) in evaluated.steps.iter().enumerate() {
        if build.session.cancel.is_cancelled() {
            return Err(Session::cancelled());
        }
        let id = build.begin(format!("[{title}{}/{count}] {}", number + 1, step.text)).await;
        let done = self::step(build, &mut stage, &evaluated, step, id).await;
        let result = match done {
            Ok(Outcome::Cached) => StepResult::Cached,
            _ => StepResult::Done,
        };
        build.end(id, &done, result).await;
        let line = step.span.line(&build.text);
        done.map_err(|error| error.with_context("location", format!("{}:{line}", build.name)))?;
        build.save_files().await?;
    }
    let env = evaluated.result.env.iter().map(|(name, value)| format!("{name}={value}"));
    stage.config.config.env = env.collect();
    Ok(Built::new(stage, evaluated.result))
}

async fn step(
    build: &Build<'_>,
    stage: &mut Stage,
    evaluated: &Evaluated,
    step: &Step,
    id: boxwright_core::StepId,
) -> Result<Outcome> {
    if let Action::Run(_) = &step.action {
        return build.run(stage, evaluated, step, id).await;
    }
    let files = build.source(&step.action).await?;
    let fetched = match &step.action {
        Action::Copy(copy) => fetch::fetch(copy, build).await?,
        _ => AllFetched::new(),
    };
    stage.step(evaluated, step, &files, fetched, &build.around).await
}

async fn warn(build: &Build<'_>, all: &[Diagnostic]) {
    for warning in all.iter().filter(|it| it.severity == Severity::Warning) {
        let (message, remedy) = (warning.to_string(), warning.remedy.clone());
        build.session.events.emit(Event::Warning { message, remedy }).await;
    }
}
