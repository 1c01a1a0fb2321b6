//! `boxwright compare`: what two images have differently.

use std::process::ExitCode;

use boxwright_core::{
    Error, ErrorKind, ExportRequest, ImageRef, LocalImage, Manifest, Result, Session,
};
use boxwright_image::archive;
use boxwright_image::compare::{Comparison, Difference};
use boxwright_image::layout::Layout;
use boxwright_registry::Client;
use tempfile::TempDir;

use crate::app::{App, parse};
use crate::args::{CompareArgs, EngineArgs, Format};
use crate::exit_code::{FAILED, Failure, Outcome};

pub(super) async fn run(args: &CompareArgs, app: &App) -> Outcome {
    let folder = temporary(app)?;
    let layout = Layout::open(folder.path().join("layout"))?;
    let first = bring(&args.first, &layout, &folder, app).await?;
    let second = bring(&args.second, &layout, &folder, app).await?;
    let compared = Comparison::of(&layout, &first, &second);
    let compared =
        app.interruptible(compared).await.map_err(|failure| Failure::from(failure.error))?;
    match args.format.format {
        Format::Json => app.console.json(&compared)?,
        Format::Text => app.console.data(&text(&compared))?,
    }
    Ok(if compared.is_same() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn temporary(app: &App) -> Result<TempDir> {
    let parent = app.host.temporary_folder();
    let folder = tempfile::Builder::new().prefix("boxwright-").tempdir_in(&parent);
    folder.map_err(|error| {
        let message = format!("cannot make a folder in `{}`", parent.display());
        Error::new(ErrorKind::Unavailable, message)
            .with_source(error)
            .with_remedy("set `TMPDIR` to a folder that can be written")
    })
}

/// Brings an image into `layout`: of the engine that is named behind its last `@`, else of its registry.
async fn bring(
    name: &str,
    layout: &Layout,
    folder: &TempDir,
    app: &App,
) -> Result<Manifest, Failure> {
    // Behind the `@` of a digest there is a `:`.
    let at_engine = name.rsplit_once('@').filter(|(_, engine)| !engine.contains(':'));
    let Some((image, engine)) = at_engine else {
        let image: ImageRef = parse(name)?;
        let session = app.session(&app.settings(&EngineArgs::default())?, Some(&image))?;
        let (registries, credentials) = (session.registries.clone(), session.credentials.clone());
        let client = Client::new(&session.host, registries, credentials);
        return Ok(session.cancellable(client.pull(&image, None, layout)).await?);
    };
    let image: LocalImage = parse(image)?;
    let flags = EngineArgs { engine: Some(engine.to_owned()), endpoint: None };
    let settings = app.settings(&flags)?;
    let session = app.session(&settings, None)?;
    let opened = app.open(&settings, None).await?;
    let file = folder.path().join("image.tar");
    opened.engine.export(&ExportRequest::new(image, file.clone()), &session).await?;
    let found = read(&file, layout, &session, name).await?;
    Ok(found)
}

async fn read(
    file: &std::path::Path,
    layout: &Layout,
    session: &Session,
    name: &str,
) -> Result<Manifest> {
    let mut images = session.cancellable(archive::read(file, layout)).await?;
    match (images.pop(), images.is_empty()) {
        (Some(image), true) => Ok(image.manifest),
        _ => Err(Error::new(ErrorKind::Protocol, format!("cannot compare `{name}`"))
            .with_cause("the engine exported something else than one image")),
    }
}

fn text(compared: &Comparison) -> String {
    if compared.is_same() {
        return "nothing differs".to_owned();
    }
    let (config, files) = (compared.config.len(), compared.files.len());
    let lines = compared.config.iter().chain(&compared.files).map(line);
    let mut text: String = lines.collect();
    text += &format!("{config} of the config and {files} of the files differ");
    text
}

fn line(difference: &Difference) -> String {
    let (first, second) = difference.sides();
    format!("{}\n  first:  {first}\n  second: {second}\n", difference.what)
}
