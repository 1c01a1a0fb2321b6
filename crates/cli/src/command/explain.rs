//! `boxwright build --explain`: which builder would build, and why.

use std::collections::BTreeMap;
use std::process::ExitCode;

use boxwright_core::{Selection, Support};
use boxwright_engines::explain::{self, Chosen, Decision};
use serde_json::json;

use super::build;
use crate::app::App;
use crate::args::{BuildArgs, Format};
use crate::exit_code::Outcome;
use crate::render::Table;

pub(super) async fn run(args: &BuildArgs, format: Format, app: &App) -> Outcome {
    let (settings, prepared, session) = build::ready(args, BTreeMap::new(), app).await?;
    let builder = settings.builder().map(|it| it.value.as_str()).filter(|name| *name != "auto");
    let (catalog, selection) = app.choose(&settings).await?;
    let instance = &selection.instance;
    let explained = explain::explain(&catalog, instance, builder, &prepared.request, &session);
    let decision = app.interruptible(explained).await?;
    match format {
        Format::Json => {
            let mut value = json!(decision);
            value["engine"] = json!(instance.engine);
            value["endpoint"] = json!(instance.endpoint);
            app.console.json(&value)?;
        }
        Format::Text => app.console.data(&text(&decision, &selection, app))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(decision: &Decision, selection: &Selection, app: &App) -> String {
    let mut table = Table::new(&["NEEDED", "NATIVE", "PORTABLE"]);
    for row in &decision.needs {
        let (native, portable) = (answer(row.native.as_ref()), answer(row.portable.as_ref()));
        table.row(&[&row.need.to_string(), &native, &portable]);
    }
    let engine = &selection.instance.engine;
    let by = match decision.chosen {
        Chosen::Native => "its own builder",
        Chosen::Portable => "the portable builder",
    };
    let because = &decision.because;
    let table = table.render(app.console.paint_out());
    format!("{table}\n{engine} builds this with {by}, because {because}\n")
}

fn answer(support: Option<&Support>) -> String {
    match support {
        None => "no such builder".to_owned(),
        Some(Support::Native | Support::Emulated { .. }) => "yes".to_owned(),
        Some(Support::Unsupported { reason, .. }) => format!("no: {reason}"),
    }
}
