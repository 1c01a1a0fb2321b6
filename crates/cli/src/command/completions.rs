//! `boxwright completions`: a script that a shell completes the command line with.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::app::App;
use crate::args::{Cli, CompletionsArgs};
use crate::exit_code::Outcome;

pub(super) fn run(args: &CompletionsArgs, app: &App) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "boxwright", &mut script);
    app.console.data_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}
