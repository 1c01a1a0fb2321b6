//! `boxwright check`: whether a cluster could pull an image, or the user push it. No engine is needed.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use boxwright_core::{Anonymous, Credentials, ImageRef, Platform, Result, Session};
use boxwright_registry::{Client, Pullable, StoredCredentials};
use serde_json::json;

use crate::app::{App, parse};
use crate::args::{CheckArgs, EngineArgs, Format, ProgressArgs};
use crate::exit_code::Outcome;
use crate::render::bytes;

pub(super) async fn run(args: &CheckArgs, app: &App) -> Outcome {
    let image: ImageRef = parse(&args.image)?;
    let platform: Option<Platform> = args.platform.as_deref().map(parse).transpose()?;
    let settings = app.settings(&EngineArgs::default())?;
    let session = app.session(&settings, Some(&image))?;
    let (credentials, whose) = match args.who.as_deref() {
        None => (session.credentials.clone(), "you".to_owned()),
        Some(who) => (credentials(who, &image, app)?, named(who)),
    };
    let client = Client::new(&app.host, session.registries.clone(), credentials);
    let (client, progress) = app.asking(client, &ProgressArgs::default(), &settings);
    let is_json = args.format.format == Format::Json;
    let asked = async {
        if args.push {
            return client.check_push(&image).await.map(|()| None);
        }
        client.check(&image, platform.as_ref()).await.map(Some)
    };
    let checked = tokio::select! {
        biased;
        () = app.cancel.cancelled() => Err(Session::cancelled()),
        checked = asked => checked,
    };
    drop(client);
    progress.finish().await;
    match checked? {
        Some(found) => print(&image, &found, &whose, is_json, app)?,
        None => print_push(&image, &whose, is_json, app)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The credentials of whoever pulls.
pub(super) fn credentials(who: &str, image: &ImageRef, app: &App) -> Result<Arc<dyn Credentials>> {
    Ok(match who.strip_prefix("helper:") {
        Some(name) => Arc::new(StoredCredentials::of_helper(&app.host, name, image.registry())?),
        None if who == "anonymous" => Arc::new(Anonymous),
        None => Arc::new(StoredCredentials::of_file(&app.host, Path::new(who))?),
    })
}

/// Says who pulls.
pub(super) fn named(who: &str) -> String {
    match who.strip_prefix("helper:") {
        Some(name) => format!("whoever `docker-credential-{name}` knows"),
        None if who == "anonymous" => "everyone".to_owned(),
        None => format!("whoever has `{who}`"),
    }
}

fn print(image: &ImageRef, found: &Pullable, whose: &str, is_json: bool, app: &App) -> Result<()> {
    if is_json {
        return app.console.json(&json!({
            "image": image, "pinned": found.image, "pullable": true, "platform": found.platform,
            "layers": found.layers, "size": found.size,
        }));
    }
    let platform = found.platform.as_ref().map(|it| format!(" for `{it}`")).unwrap_or_default();
    let layers = match found.layers {
        1 => "1 layer".to_owned(),
        count => format!("{count} layers"),
    };
    let size = bytes(found.size);
    app.console.say(&format!("{whose} can pull `{image}`{platform}: {layers}, {size}"));
    app.console.data(&found.image.to_string())
}

fn print_push(image: &ImageRef, whose: &str, is_json: bool, app: &App) -> Result<()> {
    if is_json {
        return app.console.json(&json!({ "image": image, "pushable": true }));
    }
    app.console.say(&format!("{whose} can push to `{}`", image.name()));
    Ok(())
}
