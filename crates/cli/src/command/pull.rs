//! `boxwright pull`: brings images from registries into the engine's store.

use std::process::ExitCode;

use boxwright_core::{Engine, ImageRef, Platform, PullOutput, PullRequest, Result, Session};
use serde_json::json;

use crate::app::{App, parse};
use crate::args::{Format, PullArgs};
use crate::exit_code::Outcome;

pub(super) async fn run(args: &PullArgs, app: &App) -> Outcome {
    let images: Vec<ImageRef> =
        args.images.iter().map(|name| parse(name)).collect::<Result<_>>()?;
    let platform: Option<Platform> = args.platform.as_deref().map(parse).transpose()?;
    let settings = app.settings(&args.engine)?;
    let mut session = app.session(&settings, images.first())?;
    let engine = app.open(&settings, None).await?.engine;
    let (sink, progress) = app.progress(&args.progress, &settings);
    session.events = sink;
    let pulled = pull(engine.as_ref(), &images, platform.as_ref(), &session).await;
    drop(session);
    progress.finish().await;
    let (pulled, failed) = pulled;
    if args.format.format == Format::Json {
        let object = |(image, output): &(ImageRef, PullOutput)| json!({ "image": image, "id": output.id, "digest": output.digest });
        app.console.json(&pulled.iter().map(object).collect::<Vec<_>>())?;
    } else {
        for (image, output) in &pulled {
            let shown = match &output.digest {
                Some(digest) if !args.progress.quiet => image.at_digest(digest.clone()).to_string(),
                _ => output.id.to_string(),
            };
            app.console.data(&shown)?;
        }
    }
    failed.map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
}

/// Pulls until one fails, and returns those that did not, with the error.
async fn pull(
    engine: &dyn Engine,
    images: &[ImageRef],
    platform: Option<&Platform>,
    session: &Session,
) -> (Vec<(ImageRef, PullOutput)>, Option<boxwright_core::Error>) {
    let mut pulled = Vec::new();
    for image in images {
        let mut request = PullRequest::new(image.clone());
        request.platform = platform.cloned();
        match engine.pull(&request, session).await {
            Ok(output) => pulled.push((image.clone(), output)),
            Err(error) => return (pulled, Some(error)),
        }
    }
    (pulled, None)
}
