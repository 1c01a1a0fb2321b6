//! Becomes a program: looks for it in `PATH`, and says as a shell does why it cannot be run.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Result};

use crate::syscalls;

/// Where a program is looked for when there is no `PATH`. Source: Docker's default.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program with its arguments and its environment, ready to be executed.
#[derive(Debug)]
pub(crate) struct Executable {
    arguments: Vec<CString>,
    environment: Vec<CString>,
    candidates: Vec<PathBuf>,
}

impl Executable {
    /// Returns the program that `arguments` begin with, to be run in `environment`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when there is no program, or a text has a NUL in it.
    pub(crate) fn new(arguments: &[String], environment: BTreeMap<String, String>) -> Result<Self> {
        let text = |text: String| {
            CString::new(text).map_err(|_| {
                Error::new(ErrorKind::InvalidInput, "cannot start the command")
                    .with_cause("an argument or a variable has a NUL")
            })
        };
        let program = arguments.first().filter(|program| !program.is_empty());
        let program = program.ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "cannot start the command")
                .with_cause("it is empty")
        })?;
        let candidates = match program.contains('/') {
            true => vec![PathBuf::from(program)],
            false => {
                let path = environment.get("PATH").map_or(DEFAULT_PATH, String::as_str);
                path.split(':').map(|folder| Path::new(folder).join(program)).collect()
            }
        };
        let variables =
            environment.into_iter().map(|(name, value)| text(format!("{name}={value}")));
        Ok(Self {
            environment: variables.collect::<Result<_>>()?,
            arguments: arguments.iter().cloned().map(text).collect::<Result<_>>()?,
            candidates,
        })
    }

    /// Becomes the program. Comes back only when it cannot be run, which is said on standard error: with the exit status
    /// that a shell has for that, 127 for what is not there and 126 for what cannot be run.
    pub(crate) fn run(&self) -> i32 {
        let mut reason = io::Error::from(io::ErrorKind::NotFound);
        for candidate in &self.candidates {
            if self.candidates.len() > 1 && !is_program(candidate) {
                continue;
            }
            let Ok(path) = CString::new(candidate.as_os_str().as_bytes()) else { continue };
            reason = syscalls::execute(&path, &self.arguments, &self.environment);
            if reason.kind() != io::ErrorKind::NotFound {
                break;
            }
        }
        // It is the fault of who gave the command, so it is said where the program would speak.
        let name = self.arguments.first().map(|name| name.to_string_lossy().into_owned());
        let text = format!("cannot run `{}`: {reason}\n", name.unwrap_or_default());
        let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
        match reason.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => 127,
            _ => 126,
        }
    }
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
