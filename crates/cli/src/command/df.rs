//! `boxwright df`: what Boxwright's own store takes.

use std::process::ExitCode;

use boxwright_engines::store::{self, Part, Usage};
use serde_json::json;

use crate::app::App;
use crate::args::{DfArgs, EngineArgs, Format};
use crate::exit_code::Outcome;
use crate::render::{Table, bytes};

pub(super) async fn run(args: &DfArgs, app: &App) -> Outcome {
    let settings = app.settings(&EngineArgs::default())?;
    let store = store::open(&settings, &app.host)?;
    let usage = store.usage().await?;
    match args.format.format {
        Format::Json => {
            let mut value = json!(usage);
            value["store"] = store.layout().folder().display().to_string().into();
            app.console.json(&value)?;
        }
        Format::Text => app.console.data(&table(&usage, app))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(usage: &Usage, app: &App) -> String {
    let parts: [(&str, Part, &str); 4] = [
        ("images", usage.images, "with a name: `boxwright prune --all` removes them"),
        ("cache", usage.cache, "results of steps, and images without a name"),
        ("packed", usage.packed, "compressed copies of layers, for registries"),
        ("notes", usage.notes, "what was found out of files and steps"),
    ];
    let mut table = Table::new(&["WHAT", "COUNT", "SIZE", ""]);
    for (name, part, remark) in parts {
        table.row(&[name, &part.count.to_string(), &bytes(part.bytes), remark]);
    }
    let total: u64 = parts.iter().map(|(_, part, _)| part.bytes).sum();
    table.row(&["all", "", &bytes(total), ""]);
    table.render(app.console.paint_out())
}
