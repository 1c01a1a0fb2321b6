//! `boxwright inspect`: what an image is.

use std::process::ExitCode;

use boxwright_core::{Error, ErrorKind, ImageDetails, LocalImage, Platform};

use crate::app::{App, parse};
use crate::args::{Format, InspectArgs};
use crate::exit_code::Outcome;
use crate::render::{Ink, bytes, clean};

pub(super) async fn run(args: &InspectArgs, app: &App) -> Outcome {
    let image: LocalImage = parse(&args.image)?;
    let settings = app.settings(&args.engine)?;
    let session = app.session(&settings, None)?;
    let engine = app.open(&settings, None).await?.engine;
    let wanted: Option<Platform> = args.platform.as_deref().map(parse).transpose()?;
    let mut details = engine.inspect(&image, &session).await?;
    if let Some(platform) = wanted {
        match details.images.iter().find(|image| image.platform == platform) {
            Some(listed) => {
                let listed = LocalImage::Id(listed.id.clone());
                details = engine.inspect(&listed, &session).await?;
            }
            None if details.images.is_empty() && details.platform == platform => {}
            None => return Err(not_for(&image, &platform, &details).into()),
        }
    }
    match args.format.format {
        Format::Json => app.console.json(&details)?,
        Format::Text => {
            let paint = app.console.paint_out();
            let line = |(name, value): (&str, String)| {
                let label = paint.ink(Ink::Bold, &format!("{name}:"));
                format!("{label}{}{}\n", " ".repeat(13 - name.len()), clean(&value))
            };
            let text: String = facts(&details).into_iter().map(line).collect();
            app.console.data(&text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn not_for(image: &LocalImage, platform: &Platform, details: &ImageDetails) -> Error {
    let mut known: Vec<String> =
        details.images.iter().map(|image| image.platform.to_string()).collect();
    if known.is_empty() {
        known.push(details.platform.to_string());
    }
    Error::new(ErrorKind::NotFound, format!("`{image}` has no image for `{platform}`"))
        .with_remedy(format!("name one of its platforms: {}", known.join(", ")))
}

/// Returns the facts that there are, several of one kind on lines of their own.
fn facts(details: &ImageDetails) -> Vec<(&'static str, String)> {
    let mut facts = vec![("id", details.summary.id.to_string())];
    let mut each = |name, values: Vec<String>| {
        facts.extend(values.into_iter().filter(|it| !it.is_empty()).map(|value| (name, value)));
    };
    let texts =
        |images: &[boxwright_core::ImageRef]| images.iter().map(ToString::to_string).collect();
    each("name", texts(&details.summary.names));
    each("digest", texts(&details.digests));
    each("platform", vec![details.platform.to_string()]);
    let listed = details.images.iter();
    each("image", listed.map(|image| format!("{} {}", image.platform, image.digest)).collect());
    each("size", details.summary.size.map(bytes).into_iter().collect());
    each("entrypoint", command(&details.entrypoint));
    each("command", command(&details.command));
    each("user", vec![details.user.clone()]);
    each("workdir", vec![details.working_directory.clone()]);
    each("environment", details.environment.clone());
    each("port", details.exposed_ports.clone());
    each("volume", details.volumes.clone());
    each("label", details.labels.iter().map(|(name, value)| format!("{name}={value}")).collect());
    each("stop signal", details.stop_signal.clone().into_iter().collect());
    each("layer", details.layers.iter().map(ToString::to_string).collect());
    facts
}

/// Returns a command in the form in which a Dockerfile has it, which leaves no doubt about spaces.
fn command(words: &[String]) -> Vec<String> {
    if words.is_empty() {
        return Vec::new();
    }
    serde_json::to_string(words).into_iter().collect()
}
