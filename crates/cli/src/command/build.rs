//! `boxwright build`: builds an image, and writes, pushes and prints what was asked for.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use boxwright_core::{
    BuildOutput, BuildRequest, Engine, Error, ErrorKind, LocalImage, PushOutput, RemoveRequest,
    Result, Secret, Session,
};
use boxwright_engines::Settings;

use super::preflight::Preflight;
use super::{build_spec, explain, push};
use crate::app::{App, Opened};
use crate::args::BuildArgs;
use crate::build::{Outputs, Prepared, ResultFiles, prepare, write_outputs};
use crate::exit_code::{Failure, Outcome};
use crate::render::{elapsed, short_id};

pub(super) async fn run(args: &BuildArgs, app: &App) -> Outcome {
    let is_spec = boxwright_spec::SpecFile::is_one(&args.context);
    if let Some(format) = args.explain {
        if is_spec {
            return Err(Error::new(ErrorKind::InvalidInput, "`--explain` is for Dockerfiles")
                .with_cause("what a specification needs is known once its Dockerfile is written")
                .with_remedy("leave it out; the build says which builder builds, and why")
                .into());
        }
        return explain::run(args, format, app).await;
    }
    if is_spec {
        return build_spec::run(args, app).await;
    }
    if args.force {
        return Err(Error::new(ErrorKind::InvalidInput, "`--force` is for image specifications")
            .with_cause("a build from a Dockerfile is never left out")
            .with_remedy("leave it out; `--no-cache` runs every step again")
            .into());
    }
    let done = build(args, BTreeMap::new(), app).await?;
    done.end(args, app)
}

/// Returns what a build works with: the settings, the request with what comes beside it, and the session.
pub(super) async fn ready(
    args: &BuildArgs,
    secrets: BTreeMap<String, Secret>,
    app: &App,
) -> Result<(Settings, Prepared, Session), Failure> {
    let mut settings = app.settings(&args.engine)?;
    if let Some(builder) = &args.builder {
        settings = settings.with_builder(builder, "--builder");
    }
    let terminal = app.console.stdout_is_terminal();
    let mut prepared = prepare(args, &settings, &app.host, terminal, secrets, &app.cancel).await?;
    let mut session = app.session(&settings, prepared.request.tags.first())?;
    session.secrets = Arc::new(std::mem::take(&mut prepared.secrets));
    session.ssh_agents = Arc::new(std::mem::take(&mut prepared.agents));
    session.ca_bundle = prepared.ca_bundle.take();
    if let Some(input) = prepared.input.take() {
        session = session.with_input(input);
    }
    Ok((settings, prepared, session))
}

/// Builds, and writes and pushes what was asked for. `secrets` come beside those that flags name.
pub(super) async fn build(
    args: &BuildArgs,
    secrets: BTreeMap<String, Secret>,
    app: &App,
) -> Result<Done, Failure> {
    let (settings, prepared, mut session) = ready(args, secrets, app).await?;
    let (tags, platforms) = (&prepared.request.tags, &prepared.request.platforms);
    let preflight = Preflight::new(args, tags, platforms, &session, app)?;
    preflight.before(args, &settings, app).await?;
    let builder = settings.builder().map(|it| it.value.as_str()).filter(|name| *name != "auto");
    let opened = app.open(&settings, builder).await?;
    let (sink, progress) = app.progress(&args.progress, &settings);
    session.events = sink;
    session.events.notice(chosen(&opened)).await;
    let work = Work {
        engine: opened.engine.as_ref(),
        request: &prepared.request,
        outputs: &prepared.outputs,
        files: &prepared.files,
        push: args.push,
        session: &session,
        app,
    };
    let mut result = work.run().await;
    if let Ok(done) = &mut result
        && done.failed.is_none()
    {
        done.failed = preflight.after(&done.pushed, &session).await.err();
    }
    drop(session);
    progress.finish().await;
    let takes_stdout = prepared.outputs.take_stdout();
    Ok(Done { takes_stdout, ..result? })
}

/// Says which engine and builder were chosen, and why.
fn chosen(opened: &Opened) -> String {
    let because = match &opened.selection.because {
        auto if auto.starts_with("the ") => auto.clone(),
        origin => format!("as `{origin}` says"),
    };
    let info = opened.engine.info();
    let rootless = if info.rootless == Some(true) { ", rootless" } else { "" };
    let source = &opened.selection.instance.source;
    format!(
        "building with {} {} ({}{rootless}; {source}), {because}",
        info.name, info.version, info.builder
    )
}

/// A build under way.
struct Work<'a> {
    engine: &'a dyn Engine,
    request: &'a BuildRequest,
    outputs: &'a Outputs,
    files: &'a ResultFiles,
    push: bool,
    session: &'a Session,
    app: &'a App,
}

/// What it came to.
pub(super) struct Done {
    output: BuildOutput,
    pushed: Vec<PushOutput>,
    failed: Option<Error>,
    kept: bool,
    takes_stdout: bool,
}

impl Done {
    /// Prints it, and fails if a push did. What was pushed before that is told all the same.
    pub(super) fn end(self, args: &BuildArgs, app: &App) -> Outcome {
        if !self.takes_stdout {
            print(&self, args, app)?;
        }
        self.failed.map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
    }

    /// Fails if a push did, and prints nothing.
    pub(super) fn check(self) -> Result<()> {
        self.failed.map_or(Ok(()), Err)
    }
}

impl Work<'_> {
    async fn run(&self) -> Result<Done> {
        let serves_outputs =
            self.request.tags.is_empty() && !self.outputs.is_empty() && !self.files.keep_id();
        let before =
            if serves_outputs { self.engine.list(self.session).await? } else { Vec::new() };
        let start = Instant::now();
        let output = self.engine.build(self.request, self.session).await?;
        let built = format!("built {} in {}", short_id(&output.id), elapsed(start.elapsed()));
        self.session.events.notice(built).await;
        let passing = serves_outputs && !before.iter().any(|image| image.id == output.id);
        let written = self.write(&output).await;
        if passing {
            self.remove(&output).await?;
        }
        written?;
        let (pushed, failed) = if self.push {
            push::push(self.engine, &self.request.tags, self.session).await
        } else {
            (Vec::new(), None)
        };
        if failed.is_none() {
            self.files.write(&output, pushed.first().map(|it| &it.digest))?;
        }
        Ok(Done { output, pushed, failed, kept: !passing, takes_stdout: false })
    }

    async fn write(&self, output: &BuildOutput) -> Result<()> {
        if self.outputs.is_empty() {
            return Ok(());
        }
        write_outputs(self.outputs, self.engine, output, self.session, self.app.console).await
    }

    /// Removes an image that only served an output. It stays if something else needs it.
    async fn remove(&self, output: &BuildOutput) -> Result<()> {
        let request = RemoveRequest::new(LocalImage::Id(output.id.clone()));
        // An interrupted build cleans up too.
        let mut session = self.session.clone();
        session.cancel = boxwright_core::CancellationToken::new();
        match self.engine.remove(&request, &session).await {
            Err(error) if error.kind() != ErrorKind::Conflict => Err(error),
            _ => Ok(()),
        }
    }
}

fn print(done: &Done, args: &BuildArgs, app: &App) -> Result<()> {
    if args.push && !args.progress.quiet {
        return push::print(&done.pushed, app);
    }
    if done.kept && done.failed.is_none() {
        app.console.data(done.output.id.as_str())?;
    }
    Ok(())
}
