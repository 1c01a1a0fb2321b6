//! `boxwright logout`: forgets what `login` stored.

use std::process::ExitCode;

use crate::app::App;
use crate::args::LogoutArgs;
use crate::exit_code::Outcome;

pub(super) async fn run(args: &LogoutArgs, app: &App) -> Outcome {
    let output = boxwright_registry::logout(&app.host, &args.registry).await?;
    let registry = &args.registry;
    for place in &output.removed_from {
        app.console.say(&format!("logged out of `{registry}`; removed from {place}"));
    }
    for place in &output.remaining_in {
        app.console.warn(&format!("a credential for `{registry}` is still in {place}"));
    }
    if output.removed_from.is_empty() && output.remaining_in.is_empty() {
        app.console.say(&format!("there was no credential for `{registry}`"));
    }
    Ok(ExitCode::SUCCESS)
}
