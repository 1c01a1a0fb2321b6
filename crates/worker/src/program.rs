//! The program `boxwright-worker`: its commands, without printing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boxwright_core::{Error, ErrorKind, Host, Result};
use rustix::thread::UnshareFlags;

use crate::serve::{ServeSettings, serve};
use crate::{DefaultNetwork, WorkerStore, init, instance, stdio, syscalls, userns};

/// What the program does, by its arguments.
const USAGE: &str = "boxwright-worker serve --store FOLDER [--own-network] | boxwright-worker probe --store FOLDER \
                     | boxwright-worker init --idle SECONDS";

/// How long threads that are still at work have at the end.
const LAST: Duration = Duration::from_millis(200);

enum Command {
    Serve {
        store: PathBuf,
        default_network: DefaultNetwork,
    },
    Probe {
        store: PathBuf,
    },
    Init {
        idle: Duration,
    },
    /// As the first process of an instance of LXD, which gives no arguments.
    FirstProcess,
}

/// Runs the program with `arguments`, its name not among them.
///
/// # Errors
///
/// What went wrong, for standard error. A client has heard it already, if it could.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let command = parse(arguments, std::process::id())?;
    if let Command::Serve { .. } | Command::Probe { .. } = command {
        // With one thread still. An ordinary user is root in there, and can mount and give files away.
        userns::enter()?;
    }
    if let Command::Probe { store } = &command {
        return probe(store);
    }
    if let Command::FirstProcess = command
        && let Some(image) = instance::image()?
    {
        return instance::launch(&image, &Host::system());
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| {
        Error::new(ErrorKind::Exhausted, "cannot start the worker's threads").with_source(error)
    })?;
    let done = runtime.block_on(async {
        match command {
            Command::Serve { store, default_network } => serve_store(store, default_network).await,
            // Done above, without threads.
            Command::Probe { .. } => Ok(()),
            Command::Init { idle } => init::wait_until_idle(idle).await.map_err(|error| {
                Error::new(ErrorKind::Unavailable, "cannot watch for signals").with_source(error)
            }),
            Command::FirstProcess => instance::wait_for_builds(&Host::system()).await,
        }
    });
    runtime.shutdown_timeout(LAST);
    done
}

/// Finds out by trying whether steps can be run: opens the store in `folder`, and makes the namespaces of a step.
fn probe(folder: &Path) -> Result<()> {
    WorkerStore::open(folder)?;
    let namespaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWNET;
    syscalls::unshare(namespaces).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot make the namespaces of a step")
            .with_source(error)
    })
}

async fn serve_store(folder: PathBuf, default_network: DefaultNetwork) -> Result<()> {
    let stream = stdio::take().map_err(|error| {
        Error::new(ErrorKind::InvalidInput, "cannot serve standard input and output")
            .with_source(error)
    })?;
    let sockets = folder.clone();
    let store = boxwright_image::pipe::blocking(move || WorkerStore::open(&folder)).await?;
    serve(stream, store, ServeSettings { default_network, sockets }).await
}

fn parse(mut arguments: impl Iterator<Item = OsString>, process: u32) -> Result<Command> {
    let wrong = |cause: String| {
        Error::new(ErrorKind::InvalidInput, "cannot start the worker")
            .with_cause(cause)
            .with_remedy(format!("usage: {USAGE}"))
    };
    let command = match arguments.next() {
        Some(command) => command,
        None if process == 1 => return Ok(Command::FirstProcess),
        None => OsString::new(),
    };
    let (mut store, mut idle, mut default_network) = (None, None, DefaultNetwork::Worker);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--store") => store = arguments.next().map(PathBuf::from),
            Some("--own-network") => default_network = DefaultNetwork::Own,
            Some("--idle") => {
                let seconds = arguments.next().and_then(|text| text.to_str()?.parse().ok());
                idle = seconds.map(Duration::from_secs);
            }
            _ => return Err(wrong(format!("unknown argument `{}`", argument.display()))),
        }
    }
    match (command.to_str(), store, idle) {
        (Some("serve"), Some(store), None) => Ok(Command::Serve { store, default_network }),
        (Some("probe"), Some(store), None) => Ok(Command::Probe { store }),
        (Some("init"), None, Some(idle)) => Ok(Command::Init { idle }),
        _ => Err(wrong("its arguments make no command".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: &[&str]) -> bool {
        parse(arguments.iter().map(OsString::from), 2).is_err()
    }

    #[test]
    fn arguments_that_make_no_command_are_refused() {
        assert!(!refused(&["serve", "--store", "/w", "--own-network"]));
        assert!(!refused(&["init", "--idle", "60"]));
        assert!(!refused(&["probe", "--store", "/w"]));
        assert!(matches!(parse(std::iter::empty(), 1), Ok(Command::FirstProcess)));
        for wrong in [
            &[][..],
            &["serve"],
            &["serve", "--store"],
            &["init", "--idle", "soon"],
            &["serve", "--store", "/w", "--verbose"],
            &["serve", "--store", "/w", "--idle", "1"],
        ] {
            assert!(refused(wrong), "{wrong:?}");
        }
    }
}
