//! `boxwright prune`: makes Boxwright's own store smaller.

use std::process::ExitCode;
use std::time::Duration;

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_engines::store::{self, Pruned, Pruning, Scope};

use crate::app::App;
use crate::args::{EngineArgs, Format, PruneArgs};
use crate::build;
use crate::exit_code::Outcome;
use crate::render::bytes;

pub(super) async fn run(args: &PruneArgs, app: &App) -> Outcome {
    let mut pruning = Pruning::default();
    pruning.scope = if args.all { Scope::All } else { Scope::Cache };
    pruning.older_than = args.older_than.as_deref().map(duration).transpose()?;
    pruning.keep_storage = args.keep_storage.as_deref().map(build::size).transpose()?;
    let settings = app.settings(&EngineArgs::default())?;
    let pruned = store::open(&settings, &app.host)?.prune(&pruning).await?;
    match args.format.format {
        Format::Json => app.console.json(&pruned)?,
        Format::Text => app.console.data(&text(&pruned))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(pruned: &Pruned) -> String {
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
