//! `boxwright df`: what Boxwright's own store takes.

use std::process::ExitCode;

use boxwright_engines::store::{self, StoreUsage, Usage};
use serde_json::json;

use crate::app::App;
use crate::args::{DfArgs, EngineArgs, Format};
use crate::exit_code::Outcome;
use crate::render::{Table, bytes};

pub(super) async fn run(args: &DfArgs, app: &App) -> Outcome {
    let settings = app.settings(&EngineArgs::default())?;
    let store = store::open(&settings, &app.host)?;
    let usage = store.usage().await?;
    let steps = match store::worker(&settings, &app.host, &store)? {
        Some(worker) => worker.usage().await?,
        None => StoreUsage::default(),
    };
    match args.format.format {
        Format::Json => {
            let mut value = json!(usage);
            value["store"] = store.layout().folder().display().to_string().into();
            value["steps"] = json!(steps);
            app.console.json(&value)?;
        }
        Format::Text => app.console.data(&table(&usage, &steps, app))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(usage: &Usage, steps: &StoreUsage, app: &App) -> String {
    let kept = [
        ("images", usage.images, "with a name: `boxwright prune --all` removes them"),
        ("cache", usage.cache, "results of steps, and images without a name"),
        ("packed", usage.packed, "compressed copies of layers, for registries"),
        ("notes", usage.notes, "what was found out of files and steps"),
        ("partial", usage.partial, "of builds that run, or were killed: `prune` removes it"),
    ];
    let unpacked = [
        ("unpacked", steps.layers, "layers as steps see them"),
        ("mounts", steps.caches, "caches of `RUN --mount=type=cache`"),
        ("leftovers", steps.leftovers, "of steps that were killed, and of other versions"),
    ];
    let kept = kept.map(|(name, part, remark)| (name, part.count, part.bytes, remark));
    let unpacked = unpacked.map(|(name, part, remark)| (name, part.count, part.bytes, remark));
    let mut table = Table::new(&["WHAT", "COUNT", "SIZE", ""]);
    let mut total = 0;
    for (name, count, size, remark) in kept.into_iter().chain(unpacked) {
        table.row(&[name, &count.to_string(), &bytes(size), remark]);
        total += size;
    }
    table.row(&["all", "", &bytes(total), ""]);
    table.render(app.console.paint_out())
}
