//! `boxwright prune`: makes Boxwright's own store smaller, and takes out of engines what is kept there for builds.

use std::process::ExitCode;
use std::time::Duration;

use boxwright_core::{Detection, Error, ErrorKind, Instance, PruneOutput, Result};
use boxwright_engines::Settings;
use boxwright_engines::store::{
    self, LocalWorker, Pruned, Pruning, Scope, Store, StorePruned, StorePruning,
};
use serde::Serialize;

use crate::app::App;
use crate::args::{EngineArgs, Format, PruneArgs};
use crate::build;
use crate::exit_code::{FAILED, Outcome};
use crate::render::bytes;

/// What was removed, everywhere.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    store: Pruned,
    /// What steps of the embedded engine used.
    steps: StorePruned,
    engines: Vec<OfEngine>,
}

/// What was removed from one engine.
#[derive(Debug, Serialize)]
struct OfEngine {
    engine: String,
    endpoint: String,
    #[serde(flatten)]
    pruned: PruneOutput,
}

pub(super) async fn run(args: &PruneArgs, app: &App) -> Outcome {
    let mut pruning = Pruning::default();
    pruning.scope = if args.all { Scope::All } else { Scope::Cache };
    pruning.older_than = args.older_than.as_deref().map(duration).transpose()?;
    pruning.keep_storage = args.keep_storage.as_deref().map(build::size).transpose()?;
    let settings = app.settings(&EngineArgs::default())?;
    let store = store::open(&settings, &app.host)?;
    let steps = match store::worker(&settings, &app.host, &store)? {
        Some(worker) => prune_steps(&worker, &store, &mut pruning).await?,
        None => StorePruned::default(),
    };
    let store = store.prune(&pruning).await?;
    // Who wants to keep something of the cache wants the workers for it, too.
    let is_whole = pruning.older_than.is_none() && pruning.keep_storage.is_none();
    let (engines, all) = if is_whole { engines(&settings, app).await? } else { (Vec::new(), true) };
    let report = Report { store, steps, engines };
    match args.format.format {
        Format::Json => app.console.json(&report)?,
        Format::Text => app.console.data(&text(&report))?,
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Prunes what steps used, before the rest: layers can be unpacked again as long as there are blobs. Of `pruning` it
/// takes off what stays of it.
async fn prune_steps(
    worker: &LocalWorker,
    store: &Store,
    pruning: &mut Pruning,
) -> Result<StorePruned> {
    let mut steps = StorePruning { older_than: pruning.older_than, keep_bytes: None };
    if let Some(keep) = pruning.keep_storage {
        let usage = store.usage().await?;
        let blobs = usage.images.bytes + usage.cache.bytes + usage.packed.bytes;
        steps.keep_bytes = Some(keep.saturating_sub(blobs));
    }
    let pruned = worker.prune(&steps).await?;
    if let Some(keep) = &mut pruning.keep_storage {
        *keep = keep.saturating_sub(worker.usage().await?.bytes());
    }
    Ok(pruned)
}

/// Prunes every engine that is ready, and returns whether that could be done in all of them.
async fn engines(settings: &Settings, app: &App) -> Result<(Vec<OfEngine>, bool)> {
    let catalog = app.catalog(settings)?;
    let session = app.session(settings, None)?;
    let surveys = session.cancellable(async { Ok(catalog.detect(&app.host).await) }).await?;
    let (mut pruned, mut all) = (Vec::new(), true);
    for found in surveys.iter().flat_map(|survey| &survey.detections) {
        let Detection::Ready(instance) = found else { continue };
        let prune = async {
            let engine = session.cancellable(catalog.open(instance, None, &app.host)).await?;
            engine.prune(&session).await
        };
        match prune.await {
            Ok(output) => pruned.push(of_engine(instance, output)),
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
            Err(error) => {
                let causes = error.causes().join(": ");
                app.console.warn(&format!("cannot prune {}: {error} ({causes})", instance.engine));
                all = false;
            }
        }
    }
    Ok((pruned, all))
}

fn of_engine(instance: &Instance, pruned: PruneOutput) -> OfEngine {
    let (engine, endpoint) = (instance.engine.to_string(), instance.endpoint.clone());
    OfEngine { engine, endpoint, pruned }
}

fn text(report: &Report) -> String {
    let pruned = &report.store;
    let mut text = String::new();
    for name in &pruned.names {
        text += &format!("untagged {name}\n");
    }
    let (count, size) = (pruned.removed.count, bytes(pruned.removed.bytes));
    text += &match count {
        1 => format!("removed 1 blob, {size}"),
        _ => format!("removed {count} blobs, {size}"),
    };
    if pruned.in_use.count > 0 {
        let size = bytes(pruned.in_use.bytes);
        text += &format!("\nleft what builds use now: {} blobs, {size}", pruned.in_use.count);
    }
    let steps = &report.steps;
    for (part, one, several) in [
        (steps.removed.layers, "unpacked layer", "unpacked layers"),
        (steps.removed.caches, "cache of steps", "caches of steps"),
        (steps.removed.leftovers, "leftover of steps", "leftovers of steps"),
    ] {
        let name = if part.count == 1 { one } else { several };
        if part.count > 0 {
            text += &format!("\nremoved {} {name}, {}", part.count, bytes(part.bytes));
        }
    }
    if steps.in_use {
        text += "\nleft the unpacked layers and caches of steps, which a build uses now";
    }
    for OfEngine { engine, endpoint, pruned } in &report.engines {
        for what in &pruned.removed {
            text += &format!("\nremoved the {what} of {engine} at {endpoint}");
        }
        for what in &pruned.in_use {
            text += &format!("\nleft the {what} of {engine} at {endpoint}, which a build uses now");
        }
    }
    text
}

/// Parses a time such as `90s`, `24h` or `7d`.
fn duration(text: &str) -> Result<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(24 * 3600),
        "w" => Some(7 * 24 * 3600),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    let product = number.zip(seconds).and_then(|(number, seconds)| number.checked_mul(seconds));
    product.map(Duration::from_secs).ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, format!("`{text}` is not a time"))
            .with_remedy("write a number with a unit: `90s`, `30m`, `24h`, `7d` or `2w`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("24h").unwrap(), duration("1d").unwrap());
        assert_eq!(duration("2w").unwrap(), Duration::from_secs(14 * 24 * 3600));
        for bad in ["", "h", "5", "5y", "-1h", "1.5h", "99999999999999999w"] {
            assert_eq!(duration(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
        }
    }
}
