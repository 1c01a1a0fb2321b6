//! The static program `boxwright-worker`. Standard error is for diagnostics; nothing reads it. Standard output is for the
//! protocol, or for what was asked for.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    // Before there is a second thread: such a process can neither fork nor enter namespaces.
    if arguments.peek().is_some_and(|first| first == boxwright_worker::SANDBOX_ARGUMENT) {
        return ExitCode::from(boxwright_worker::sandbox_main());
    }
    let error = match boxwright_worker::run(arguments) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(said)) => {
            return match writeln!(std::io::stdout(), "{said}") {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
        Err(error) => error,
    };
    let causes: String = error.causes().iter().map(|cause| format!(": {cause}")).collect();
    let remedy = error.remedy().map(|remedy| format!("\nhelp: {remedy}")).unwrap_or_default();
    // With nobody to read it, there is nobody to tell that either.
    let _ = writeln!(std::io::stderr(), "error: {error}{causes}{remedy}");
    ExitCode::FAILURE
}
