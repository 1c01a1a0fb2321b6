//! The program `boxwright-worker`: its commands, without printing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boxwright_core::{Error, ErrorKind, Host, Result};
use rustix::thread::UnshareFlags;

use crate::serve::{ServeSettings, serve};
use crate::store::{StorePruning, prune_store, prune_when_due, store_usage};
use crate::{DefaultNetwork, WorkerStore, init, instance, stdio, syscalls, userns};

/// What the program does, by its arguments.
const USAGE: &str = "boxwright-worker serve --store FOLDER [--own-network] | boxwright-worker probe --store FOLDER \
                     | boxwright-worker usage --store FOLDER \
                     | boxwright-worker prune --store FOLDER [--older-than SECONDS] [--keep-bytes BYTES] \
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
    Usage {
        store: PathBuf,
    },
    Prune {
        store: PathBuf,
        pruning: StorePruning,
    },
    Init {
        idle: Duration,
    },
    /// As the first process of an instance of LXD, which gives no arguments.
    FirstProcess,
}

/// Runs the program with `arguments`, its name not among them, and returns what it is to print, if anything.
///
/// # Errors
///
/// What went wrong, for standard error. A client has heard it already, if it could.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Result<Option<String>> {
    let command = parse(arguments, std::process::id())?;
    if !matches!(command, Command::Init { .. } | Command::FirstProcess) {
        // With one thread still. An ordinary user is root in there, and can mount and give files away.
        userns::enter()?;
    }
    match &command {
        Command::Probe { store } => return probe(store).map(|()| None),
        Command::Usage { store } => return told(&store_usage(store)?),
        Command::Prune { store, pruning } => return told(&prune_store(store, pruning)?),
        Command::Serve { .. } | Command::Init { .. } | Command::FirstProcess => {}
    }
    if let Command::FirstProcess = command
        && let Some(image) = instance::image()?
    {
        return instance::launch(&image, &Host::system()).map(|()| None);
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
            Command::Probe { .. } | Command::Usage { .. } | Command::Prune { .. } => Ok(()),
            Command::Init { idle } => init::wait_until_idle(idle).await.map_err(|error| {
                Error::new(ErrorKind::Unavailable, "cannot watch for signals").with_source(error)
            }),
            Command::FirstProcess => instance::wait_for_builds(&Host::system()).await,
        }
    });
    runtime.shutdown_timeout(LAST);
    done.map(|()| None)
}

/// Returns `value` as whoever started the program reads it.
fn told(value: &impl serde::Serialize) -> Result<Option<String>> {
    serde_json::to_string(value)
        .map(Some)
        .map_err(|error| Error::new(ErrorKind::Bug, "cannot describe the store").with_source(error))
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
    let served = serve(stream, store, ServeSettings { default_network, sockets: sockets.clone() });
    let served = served.await;
    // Nobody waits for it any more.
    let pruned = move || {
        prune_when_due(&sockets);
        Ok(())
    };
    boxwright_image::pipe::blocking(pruned).await?;
    served
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
    let mut pruning = StorePruning::default();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--store") => store = arguments.next().map(PathBuf::from),
            Some("--own-network") => default_network = DefaultNetwork::Own,
            Some(name @ ("--idle" | "--older-than" | "--keep-bytes")) => {
                let number = arguments.next().and_then(|text| text.to_str()?.parse::<u64>().ok());
                let number = number.ok_or_else(|| wrong(format!("`{name}` needs a number")))?;
                match name {
                    "--idle" => idle = Some(Duration::from_secs(number)),
                    "--older-than" => pruning.older_than = Some(Duration::from_secs(number)),
                    _ => pruning.keep_bytes = Some(number),
                }
            }
            _ => return Err(wrong(format!("unknown argument `{}`", argument.display()))),
        }
    }
    match (command.to_str(), store, idle) {
        (Some("serve"), Some(store), None) => Ok(Command::Serve { store, default_network }),
        (Some("prune"), Some(store), None) => Ok(Command::Prune { store, pruning }),
        (_, _, _) if pruning != StorePruning::default() => {
            Err(wrong("its arguments make no command".to_owned()))
        }
        (Some("probe"), Some(store), None) => Ok(Command::Probe { store }),
        (Some("usage"), Some(store), None) => Ok(Command::Usage { store }),
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
        assert!(!refused(&["usage", "--store", "/w"]));
        assert!(!refused(&["prune", "--store", "/w", "--older-than", "60", "--keep-bytes", "0"]));
        assert!(matches!(parse(std::iter::empty(), 1), Ok(Command::FirstProcess)));
        for wrong in [
            &[][..],
            &["serve"],
            &["serve", "--store"],
            &["init", "--idle", "soon"],
            &["serve", "--store", "/w", "--verbose"],
            &["serve", "--store", "/w", "--idle", "1"],
            &["usage", "--store", "/w", "--keep-bytes", "1"],
            &["prune", "--store", "/w", "--older-than", "1d"],
            &["prune", "--store", "/w", "--keep-bytes"],
        ] {
            assert!(refused(wrong), "{wrong:?}");
        }
    }
}
