//! `boxwright exists`: whether a registry has an image. No engine is needed.

use std::process::ExitCode;

use boxwright_core::{ImageRef, Platform, Session};
use boxwright_registry::{Client, Existence};
use serde_json::json;

use crate::app::{App, parse};
use crate::args::{EngineArgs, ExistsArgs, Format, ProgressArgs};
use crate::exit_code::{self, Outcome};

pub(super) async fn run(args: &ExistsArgs, app: &App) -> Outcome {
    let image: ImageRef = parse(&args.image)?;
    let platform: Option<Platform> = args.platform.as_deref().map(parse).transpose()?;
    let settings = app.settings(&EngineArgs::default())?;
    let session = app.session(&settings, Some(&image))?;
    let client = Client::new(&app.host, session.registries.clone(), session.credentials.clone());
    let (client, progress) = app.asking(client, &ProgressArgs::default(), &settings);
    let asked = async {
        match &platform {
            Some(platform) => client.exists_for(&image, platform).await,
            None => client.exists(&image).await,
        }
    };
    let existence = tokio::select! {
        biased;
        () = app.cancel.cancelled() => Err(Session::cancelled()),
        existence = asked => Ok(existence),
    };
    drop(client);
    progress.finish().await;
    let what = match &platform {
        Some(platform) => format!("`{image}` for `{platform}`"),
        None => format!("`{image}`"),
    };
    let is_json = args.format.format == Format::Json;
    let (answer, code) = match existence? {
        Existence::Yes(digest) => {
            let pinned = image.at_digest(digest);
            if !is_json {
                app.console.data(&pinned.to_string())?;
            }
            (json!({ "image": image, "exists": "yes", "pinned": pinned }), 0)
        }
        Existence::No => {
            if !is_json {
                app.console.say(&format!("{what} is not there"));
            }
            (json!({ "image": image, "exists": "no" }), exit_code::FAILED)
        }
        Existence::Unknown { why, remedy } => {
            if !is_json {
                app.console.say(&format!("whether {what} is there is unknown: {why}"));
                if let Some(remedy) = &remedy {
                    app.console.say(&format!("help: {remedy}"));
                }
            }
            let answer =
                json!({ "image": image, "exists": "unknown", "why": why, "remedy": remedy });
            (answer, exit_code::UNKNOWN)
        }
    };
    if is_json {
        app.console.json(&answer)?;
    }
    Ok(ExitCode::from(code))
}
