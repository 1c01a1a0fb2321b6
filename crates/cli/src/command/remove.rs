//! `boxwright remove`: takes names from images, and images from the engine.

use std::process::ExitCode;

use boxwright_core::{Error, LocalImage, RemoveOutput, RemoveRequest, Result};

use crate::app::{App, parse};
use crate::args::{Format, RemoveArgs};
use crate::exit_code::Outcome;

pub(super) async fn run(args: &RemoveArgs, app: &App) -> Outcome {
    let images: Vec<LocalImage> =
        args.images.iter().map(|name| parse(name)).collect::<Result<_>>()?;
    let settings = app.settings(&args.engine)?;
    let session = app.session(&settings, None)?;
    let engine = app.open(&settings, None).await?.engine;
    let mut removed = RemoveOutput::default();
    let mut failed: Option<Error> = None;
    for image in images {
        let mut request = RemoveRequest::new(image);
        request.force = args.force;
        match engine.remove(&request, &session).await {
            Ok(output) => {
                removed.untagged.extend(output.untagged);
                removed.deleted.extend(output.deleted);
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    if args.format.format == Format::Json {
        app.console.json(&removed)?;
    } else {
        for name in &removed.untagged {
            app.console.data(&format!("untagged {name}"))?;
        }
        for id in &removed.deleted {
            app.console.data(&format!("deleted {id}"))?;
        }
    }
    failed.map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
}
