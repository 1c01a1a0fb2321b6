//! `boxwright config`: every setting in effect, and where it comes from.

use std::process::ExitCode;

use boxwright_engines::Settings;
use boxwright_engines::settings::{Effective, schema};
use serde_json::{Value, json};

use crate::app::App;
use crate::args::{ConfigArgs, ConfigCommand, EngineArgs, Format};
use crate::exit_code::Outcome;
use crate::render::{Ink, Table};

pub(super) fn run(args: &ConfigArgs, app: &App) -> Outcome {
    match &args.command {
        Some(ConfigCommand::Schema(args)) => {
            let (user, project) = schema();
            app.console.json(if args.project { &project } else { &user })?;
        }
        None => show(args.format.format, app)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(format: Format, app: &App) -> boxwright_core::Result<()> {
    let settings = app.settings(&EngineArgs::default())?;
    let values: Vec<&Effective> = settings.effective().collect();
    if format == Format::Json {
        return app.console.json(&json!({ "settings": values, "files": settings.files() }));
    }
    let mut table = Table::new(&["SETTING", "VALUE", "FROM"]);
    for value in values {
        table.row(&[&value.name, &shown(&value.value), &value.origin]);
        if value.origin == "default" {
            table.ink(2, Ink::Dim);
        }
    }
    app.console.data(&table.render(app.console.paint_out()))?;
    if let Some(own) = Settings::user_file(&app.host).filter(|own| !settings.files().contains(own))
    {
        app.console.say(&format!("\nyour own settings would be in `{}`", own.display()));
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
