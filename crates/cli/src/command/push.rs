//! `boxwright push`: sends images to the registries in their names.

use std::process::ExitCode;

use boxwright_core::{Engine, Error, ImageRef, PushOutput, PushRequest, Result, Session};

use crate::app::{App, parse};
use crate::args::{Format, PushArgs};
use crate::exit_code::Outcome;

pub(super) async fn run(args: &PushArgs, app: &App) -> Outcome {
    let images: Vec<ImageRef> =
        args.images.iter().map(|name| parse(name)).collect::<Result<_>>()?;
    let settings = app.settings(&args.engine)?;
    let mut session = app.session(&settings, images.first())?;
    let engine = app.open(&settings, None).await?.engine;
    let (sink, progress) = app.progress(&args.progress, &settings);
    session.events = sink;
    let (pushed, failed) = push(engine.as_ref(), &images, &session).await;
    drop(session);
    progress.finish().await;
    if args.format.format == Format::Json {
        app.console.json(&pushed)?;
    } else {
        print(&pushed, app)?;
    }
    failed.map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
}

/// Prints where each image can be had from now on.
pub(super) fn print(pushed: &[PushOutput], app: &App) -> Result<()> {
    for output in pushed {
        app.console.data(&output.image.at_digest(output.digest.clone()).to_string())?;
    }
    Ok(())
}

/// Pushes until one fails, and returns those that did not, with the error.
pub(super) async fn push(
    engine: &dyn Engine,
    images: &[ImageRef],
    session: &Session,
) -> (Vec<PushOutput>, Option<Error>) {
    let mut pushed = Vec::new();
    for image in images {
        match engine.push(&PushRequest::new(image.clone()), session).await {
            Ok(output) => pushed.push(output),
            Err(error) => return (pushed, Some(error)),
        }
    }
    (pushed, None)
}
