//! Locks between processes: by the kernel, and so gone with the process that holds them.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use boxwright_core::{Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::layout::cannot_write;

/// How long a lock is waited for: what is done under one takes a fraction of that.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Who else may hold a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    Shared,
    Exclusive,
}

impl Lock {
    /// Waits for the lock of the file at `path`, which is made if it is missing. Blocks.
    pub(crate) fn wait(path: &Path, sharing: Sharing) -> Result<Self> {
        Self::wait_for(path, sharing, PATIENCE)
    }

    fn wait_for(path: &Path, sharing: Sharing, patience: Duration) -> Result<Self> {
        let start = Instant::now();
        loop {
            if let Some(lock) = Self::try_now(path, sharing)? {
                return Ok(lock);
            }
            if start.elapsed() >= patience {
                let message = format!("cannot use the store `{}`", store(path).display());
                return Err(Error::new(ErrorKind::Conflict, message)
                    .with_cause(format!("another process holds `{}`", path.display()))
                    .with_remedy("wait until it ends, or end it"));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Takes the lock unless another holds it.
    pub(crate) fn try_now(path: &Path, sharing: Sharing) -> Result<Option<Self>> {
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let file = open.map_err(|error| cannot_write(path, error))?;
        let operation = match sharing {
            Sharing::Shared => FlockOperation::NonBlockingLockShared,
            Sharing::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(cannot_write(path, io::Error::from(error))),
            }
        }
    }
}

fn store(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_no_longer_than_it_takes_threat_11() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let wait = |sharing| Lock::wait_for(&path, sharing, Duration::from_millis(30));
        let held = wait(Sharing::Shared).unwrap();
        wait(Sharing::Shared).unwrap();
        let error = wait(Sharing::Exclusive).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.causes()[0].contains("lock"), "{error:?}");
        drop(held);
        let _held = wait(Sharing::Exclusive).unwrap();
        assert!(Lock::try_now(&path, Sharing::Shared).unwrap().is_none());
    }
}
