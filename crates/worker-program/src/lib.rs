//! The program `boxwright-worker`, built static when this crate was built, as bytes.
//!
//! [`LocalWorker`] starts it as a child; other engines put it into a container or an instance. It is a crate of its own so that
//! whoever depends on an engine gets the program too, and so that the program's own crate does not have to build
//! itself: `docs/decisions/` has the reasons.

mod install;
mod local;

pub use boxwright_worker::{StorePart, StorePruned, StorePruning, StoreUsage};
pub use local::LocalWorker;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use boxwright_core::{Digest, Error, ErrorKind, Result};
use boxwright_image::program::architecture;
use sha2::Digest as _;

/// What was built; empty where nothing could be.
static CARRIED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/boxwright-worker"));

/// What can be done when there is no program for a machine.
const REMEDY: &str = "build the crate `boxwright-worker` for that machine with `-C target-feature=+crt-static`, \
                      and name the program with the setting `engine.embedded.worker`";

/// A worker's program for one architecture.
#[derive(Clone)]
pub struct WorkerProgram {
    bytes: Cow<'static, [u8]>,
    architecture: &'static str,
}

impl WorkerProgram {
    /// Returns the program that was built along with this one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] when none could be built for this system.
    pub fn carried() -> Result<Self> {
        if CARRIED.is_empty() {
            return Err(Error::new(ErrorKind::Unsupported, "there is no worker to run steps with")
                .with_cause("it is a program for Linux, and this one was built for another system")
                .with_remedy(REMEDY));
        }
        Self::of(Cow::Borrowed(CARRIED), "the program's own worker")
    }

    /// Reads a program from `file`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when it cannot be read or is no program.
    pub fn read(file: &Path) -> Result<Self> {
        let shown = format!("`{}`", file.display());
        let bytes = std::fs::read(file).map_err(|error| {
            Error::new(ErrorKind::InvalidInput, format!("cannot use {shown} as the worker"))
                .with_source(error)
        })?;
        Self::of(Cow::Owned(bytes), &shown)
    }

    fn of(bytes: Cow<'static, [u8]>, shown: &str) -> Result<Self> {
        let architecture = architecture(&bytes).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("cannot use {shown} as the worker"))
                .with_cause("it is not a program for Linux on a processor that is known here")
                .with_remedy(REMEDY)
        })?;
        Ok(Self { bytes, architecture })
    }

    /// Returns the architecture it is for, by Go's name, e.g. `amd64`.
    #[must_use]
    pub fn architecture(&self) -> &'static str {
        self.architecture
    }

    /// Fails unless it is for machines of `architecture`, by Go's name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] when it is for another.
    pub fn require(&self, architecture: &str) -> Result<()> {
        if self.architecture == architecture {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "the worker is for another architecture")
            .with_cause(format!(
                "it is for {} and steps are to run on {architecture}",
                self.architecture
            ))
            .with_remedy(REMEDY))
    }

    /// Returns its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the digest of its bytes, which is its version more exactly than any number.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let carried = concat!("sha256:", env!("BOXWRIGHT_WORKER_DIGEST"));
        match &self.bytes {
            // Reading four megabytes for it takes longer than a short step.
            Cow::Borrowed(_) => carried.parse().expect("the build script writes a digest"),
            Cow::Owned(bytes) => Digest::from_sha256(sha2::Sha256::digest(bytes).into()),
        }
    }
}

impl fmt::Debug for WorkerProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerProgram")
            .field("architecture", &self.architecture)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_carried_program_is_static_and_for_this_machine() {
        let program = WorkerProgram::carried().unwrap();
        let here = boxwright_core::Platform::of_this_machine();
        program.require(here.architecture()).unwrap();
        // The path of a dynamic loader is only in programs that need one.
        let loader = b"/lib64/ld-linux";
        assert!(!program.bytes().windows(loader.len()).any(|window| window == loader));
        let worked_out = sha2::Sha256::digest(program.bytes()).into();
        assert_eq!(program.digest(), Digest::from_sha256(worked_out));
        let error = program.require("s390x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.remedy().is_some_and(|remedy| remedy.contains("engine.embedded.worker")));
    }

    #[test]
    fn a_file_that_is_no_program_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker");
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        let error = WorkerProgram::read(&file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&*file.to_string_lossy()));
    }
}
