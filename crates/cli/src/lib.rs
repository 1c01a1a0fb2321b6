//! The program `boxwright`, as a library: `main` takes the arguments, the machine and the list of
//! engines, so that tests can run it with an engine of their own.
//!
//! `args` says what can be said, `command` does it, and `render` alone prints. Nothing here knows which
//! engines there are.

mod app;
mod args;
mod build;
mod command;
mod exit_code;
mod render;
mod signal;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use boxwright_core::{Catalog, Host, Result};
use boxwright_engines::Settings;
use clap::{CommandFactory as _, Parser as _};

use app::App;
use args::Cli;
use exit_code::{BUG, Failure};
use render::Console;

/// How long the tasks that are left have to end.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(50);

/// Makes the catalog of engines that the settings ask for.
pub type MakeCatalog = fn(&Settings) -> Result<Catalog>;

/// Runs the program with `arguments`, the first of which is its name, and returns its exit code.
#[must_use]
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    host: Host,
    make_catalog: MakeCatalog,
) -> ExitCode {
    let console = Console::new(&host);
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let first = arguments.get(1).and_then(|word| word.to_str());
            return render::print_usage(&error, &mut Cli::command(), first, console);
        }
    };
    render::report_panics(console);
    // Another part of the process may have installed it; it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            console.say(&format!("error: cannot start\n  caused by: {error}"));
            return ExitCode::from(BUG);
        }
    };
    let json = cli.command.wants_json();
    let app = App::new(host, console, make_catalog);
    let work = std::panic::AssertUnwindSafe(|| {
        runtime.block_on(async {
            signal::watch(app.cancel.clone());
            command::run(cli.command, &app).await
        })
    });
    let code = match std::panic::catch_unwind(work) {
        Ok(Ok(code)) => code,
        Ok(Err(Failure { error, code })) => {
            console.error(&error, app.engine(), json.then_some(code));
            ExitCode::from(code)
        }
        Err(_) => ExitCode::from(BUG),
    };
    // Tasks that are left end here, and with them what they started, such as an `ssh` that nothing came through.
    // A thread that waits for standard input, or for the address of a name, would never end.
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    code
}
