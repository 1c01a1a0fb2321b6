//! `boxwright spec`: what an image specification comes to. No engine and no registry is asked.

use std::path::Path;
use std::process::ExitCode;

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_engines::Settings;
use boxwright_spec::{Images, Rendered, SpecFile, render, schema};

use crate::app::App;
use crate::args::{EngineArgs, SpecArgs, SpecCommand};
use crate::exit_code::Outcome;

pub(super) async fn run(args: &SpecArgs, app: &App) -> Outcome {
    match &args.command {
        SpecCommand::Render(args) => {
            let rendered = read(&args.file, &app.settings(&EngineArgs::default())?, app).await?;
            match &args.output {
                None => app.console.data(&rendered.dockerfile)?,
                Some(folder) => write(&rendered, folder, app)?,
            }
        }
        SpecCommand::Tag(args) => {
            let rendered = read(&args.file, &app.settings(&EngineArgs::default())?, app).await?;
            app.console.data(&rendered.image.to_string())?;
        }
        SpecCommand::Schema => app.console.json(&schema())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads and renders a specification, with the images that the settings name.
pub(super) async fn read(file: &str, settings: &Settings, app: &App) -> Result<Rendered> {
    let usual = Images::default();
    let set = settings.spec();
    let images = Images {
        python: set.python_image.clone().unwrap_or(usual.python),
        micromamba: set.micromamba_image.clone().unwrap_or(usual.micromamba),
    };
    let file = SpecFile::read(file, &app.host)?;
    render(&file.without_what_git_ignores(&app.host).await, &images)
}

fn write(rendered: &Rendered, folder: &str, app: &App) -> Result<()> {
    let path = app.host.absolute(Path::new(folder));
    let is_empty = match std::fs::read_dir(&path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if !is_empty {
        let message = format!("cannot write into `{folder}`");
        return Err(Error::new(ErrorKind::InvalidInput, message)
            .with_cause("it is no empty folder")
            .with_remedy("name a folder that is not there yet"));
    }
    rendered.write(&path)
}
