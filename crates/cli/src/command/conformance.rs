//! `boxwright conformance`: whether the engines keep their promises.

use std::process::ExitCode;

use boxwright_conformance::command::{self, Arguments};
use boxwright_conformance::report::terminal::Style;
use boxwright_core::Session;

use crate::app::App;
use crate::exit_code::{FAILED, Outcome};

pub(super) async fn run(args: &Arguments, app: &App) -> Outcome {
    let style = if app.console.paint_out().is_on() { Style::Colored } else { Style::Plain };
    let (mut out, mut side) = app.console.streams();
    let all_kept = tokio::select! {
        biased;
        () = app.cancel.cancelled() => return Err(Session::cancelled().into()),
        kept = command::run(args, &app.host, style, &mut out, &mut side) => kept?,
    };
    Ok(if all_kept { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
