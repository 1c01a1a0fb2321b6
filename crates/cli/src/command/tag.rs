//! `boxwright tag`: gives an image further names.

use std::process::ExitCode;

use boxwright_core::{ImageRef, LocalImage, Result};

use crate::app::{App, parse};
use crate::args::TagArgs;
use crate::exit_code::Outcome;

pub(super) async fn run(args: &TagArgs, app: &App) -> Outcome {
    let image: LocalImage = parse(&args.image)?;
    let names: Vec<ImageRef> = args.names.iter().map(|name| parse(name)).collect::<Result<_>>()?;
    let settings = app.settings(&args.engine)?;
    let session = app.session(&settings, None)?;
    let engine = app.open(&settings, None).await?.engine;
    for name in &names {
        engine.tag(&image, name, &session).await?;
    }
    Ok(ExitCode::SUCCESS)
}
