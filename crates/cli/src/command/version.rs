//! `boxwright version`.

use std::process::ExitCode;

use serde_json::json;

use crate::app::App;
use crate::args::{Format, VersionArgs};
use crate::exit_code::Outcome;

pub(super) fn run(args: &VersionArgs, app: &App) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    match args.format.format {
        Format::Text => app.console.data(&format!("boxwright {version} ({os}/{architecture})"))?,
        Format::Json => {
            let object = json!({ "version": version, "os": os, "architecture": architecture });
            app.console.json(&object)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
