//! The conformance suite as a program: flags in, report out.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use boxwright_conformance::command::{self, Arguments};
use boxwright_conformance::report::terminal::Style;
use boxwright_core::Host;
use clap::Parser;

/// Runs every case on every engine that is ready, and says which promises are kept
#[derive(Debug, Parser)]
#[command(name = "boxwright-conformance", version)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
}

#[tokio::main]
async fn main() -> ExitCode {
    let program = Program::parse();
    let host = Host::system();
    let colors = std::io::stdout().is_terminal() && host.variable("NO_COLOR").is_none();
    let style = if colors { Style::Colored } else { Style::Plain };
    let (mut out, mut progress) = (std::io::stdout(), std::io::stderr());
    match command::run(&program.arguments, &host, style, &mut out, &mut progress).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is nobody left to tell when standard error is closed.
            let _ = writeln!(progress, "error: {error}");
            for cause in error.causes() {
                let _ = writeln!(progress, "  caused by: {cause}");
            }
            if let Some(remedy) = error.remedy() {
                let _ = writeln!(progress, "\nhelp: {remedy}");
            }
            ExitCode::from(2)
        }
    }
}
