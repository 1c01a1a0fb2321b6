//! `boxwright build spec.yaml`: builds what a specification comes to, unless its registry has it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use boxwright_core::{Digest, Error, ErrorKind, Result, Secret, Session};
use boxwright_engines::Settings;
use boxwright_registry::{Client, Existence};
use boxwright_spec::Rendered;

use super::{build, spec};
use crate::app::App;
use crate::args::BuildArgs;
use crate::build::{ResultFiles, secret_of_file};
use crate::exit_code::{Failure, Outcome};

pub(super) async fn run(args: &BuildArgs, app: &App) -> Outcome {
    refuse_what_a_specification_says(args)?;
    let settings = app.settings(&args.engine)?;
    let rendered = spec::read(&args.context, &settings, app).await?;
    if args.push && !rendered.has_registry {
        return Err(Error::new(ErrorKind::InvalidInput, "`--push` has nowhere to push to")
            .with_cause(format!("`{}` names no registry", args.context))
            .with_remedy("add a line such as `registry: ghcr.io/acme`")
            .into());
    }
    for base in bases(&rendered) {
        let args = BuildArgs {
            push: args.push && base.has_registry,
            output: Vec::new(),
            iidfile: None,
            metadata_file: None,
            ..args.clone()
        };
        if found(base, &args, &settings, app).await?.is_none() {
            one(base, &args, app).await?.check()?;
        }
    }
    if let Some(digest) = found(&rendered, args, &settings, app).await? {
        let image = rendered.image.at_digest(digest.clone());
        ResultFiles::new(args, &app.host)?.write_found(&rendered.image, &digest)?;
        if !args.progress.quiet {
            app.console.say(&format!("`{}` is there already", rendered.image));
        }
        app.console.data(&image.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    one(&rendered, args, app).await?.end(args, app)
}

/// The images that are built first, the first one first.
fn bases(rendered: &Rendered) -> Vec<&Rendered> {
    let mut bases = Vec::new();
    let mut next = rendered.base.as_deref();
    while let Some(base) = next {
        bases.insert(0, base);
        next = base.base.as_deref();
    }
    bases
}

/// A specification says by itself what these flags would say.
fn refuse_what_a_specification_says(args: &BuildArgs) -> Result<()> {
    let given = [
        ("--file", args.file.is_some(), "leave it out"),
        ("--tag", !args.tag.is_empty(), "set `name`, `registry` and `tag_format` in the file"),
        ("--target", args.target.is_some(), "leave it out"),
        ("--build-arg", !args.build_arg.is_empty(), "set `env` in the file"),
        ("--build-context", !args.build_context.is_empty(), "set `copy` in the file"),
        ("--platform", !args.platform.is_empty(), "set `platform` in the file"),
    ];
    match given.iter().find(|(_, is_given, _)| *is_given) {
        None => Ok(()),
        Some((flag, _, remedy)) => {
            let message = format!("`{flag}` is not for image specifications");
            Err(Error::new(ErrorKind::InvalidInput, message)
                .with_cause(format!("`{}` says it, and its tag depends on it", args.context))
                .with_remedy(*remedy))
        }
    }
}

/// Asks the registry for an image that would be pushed. `None` if it must be built, also when the registry does not say.
async fn found(
    rendered: &Rendered,
    args: &BuildArgs,
    settings: &Settings,
    app: &App,
) -> Result<Option<Digest>, Failure> {
    let must_run = args.force || args.no_cache || rendered.no_cache;
    if !args.push || must_run || !args.output.is_empty() || args.iidfile.is_some() {
        return Ok(None);
    }
    let session = app.session(settings, Some(&rendered.image))?;
    let client = Client::new(&app.host, session.registries.clone(), session.credentials.clone());
    let (client, progress) = app.asking(client, &args.progress, settings);
    let asked = async {
        let mut last = Existence::No;
        for platform in &rendered.platforms {
            last = client.exists_for(&rendered.image, platform).await;
            if !matches!(last, Existence::Yes(_)) {
                return last;
            }
        }
        // Of several platforms, the name of all of them.
        if rendered.platforms.len() > 1 { client.exists(&rendered.image).await } else { last }
    };
    let existence = tokio::select! {
        biased;
        () = app.cancel.cancelled() => Err(Session::cancelled()),
        existence = asked => Ok(existence),
    };
    drop(client);
    progress.finish().await;
    Ok(match existence? {
        Existence::Yes(digest) => Some(digest),
        Existence::No => None,
        Existence::Unknown { why, .. } => {
            let image = &rendered.image;
            app.console
                .warn(&format!("whether `{image}` is there is unknown, so it is built: {why}"));
            None
        }
    })
}

/// Builds one of them.
async fn one(rendered: &Rendered, args: &BuildArgs, app: &App) -> Result<build::Done, Failure> {
    for note in &rendered.notes {
        app.console.warn(note);
    }
    let folder = tempfile::Builder::new()
        .prefix("boxwright-spec-")
        .tempdir_in(app.host.temporary_folder())
        .map_err(|error| {
            Error::new(ErrorKind::Exhausted, "cannot make a temporary folder").with_source(error)
        })?;
    rendered.write(folder.path())?;
    let mut secrets: BTreeMap<String, Secret> = BTreeMap::new();
    for (id, file) in &rendered.secrets {
        secrets.insert(id.clone(), secret_of_file(id, file)?);
    }
    let platforms: Vec<String> = rendered.platforms.iter().map(ToString::to_string).collect();
    let mut args = BuildArgs {
        context: folder.path().display().to_string(),
        tag: vec![rendered.image.to_string()],
        platform: platforms,
        no_cache: args.no_cache || rendered.no_cache,
        ..args.clone()
    };
    args.engine.engine = args.engine.engine.take().or_else(|| rendered.engine.clone());
    args.builder = args.builder.take().or_else(|| rendered.builder.clone());
    build::build(&args, secrets, app).await
}
