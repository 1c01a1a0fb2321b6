//! Cache mounts: folders that are kept between steps.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use boxwright_core::{CacheSharing, Error, ErrorKind, Result};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use sha2::Digest as _;

use super::WorkerStore;
use super::upkeep::touch;
use crate::cancel::Cancel;
use crate::failure::on_path;

/// How long a step waits for a cache that another one has.
const MOST_WAITING: Duration = Duration::from_secs(3600);

/// How often it looks whether the other one is done. Locks of files cannot be waited for together with a cancel.
const PAUSE: Duration = Duration::from_millis(20);

/// A cache, held for one step.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Where it is, below the store's folder. It may have to be made.
    pub(crate) path: PathBuf,
    _lock: File,
}

impl WorkerStore {
    /// Takes the cache `id` as `sharing` says. A step that takes several takes them in the order of their ids,
    /// so that two steps never wait for each other.
    pub(crate) fn cache(&self, id: &str, sharing: CacheSharing, cancel: &Cancel) -> Result<Cache> {
        let key = Self::cache_key(id);
        let operation = match sharing {
            CacheSharing::Shared => FlockOperation::NonBlockingLockShared,
            CacheSharing::Private | CacheSharing::Locked => {
                FlockOperation::NonBlockingLockExclusive
            }
        };
        let start = Instant::now();
        let mut number = 0;
        loop {
            let name = format!("{key}-{number}");
            let path = self.folder().join("caches").join(format!("{name}.lock"));
            let lock = File::options().create(true).truncate(false).write(true).open(&path);
            let lock = lock.map_err(|error| on_path("cannot open", &path, error))?;
            match rustix::fs::flock(&lock, operation) {
                Ok(()) => {
                    touch(&path);
                    let path = PathBuf::from("caches").join(name);
                    return Ok(Cache { path, _lock: lock });
                }
                Err(Errno::INTR) => {}
                // Everyone their own: the first that is free.
                Err(Errno::WOULDBLOCK) if sharing == CacheSharing::Private => number += 1,
                Err(Errno::WOULDBLOCK) => {
                    if start.elapsed() > MOST_WAITING {
                        return Err(Error::new(
                            ErrorKind::Conflict,
                            format!("cannot use the cache `{id}`"),
                        )
                        .with_cause("another step has held it for an hour")
                        .with_remedy("end that build, or use another `id=` or `sharing=shared`"));
                    }
                    cancel.wait(PAUSE)?;
                }
                Err(error) => return Err(on_path("cannot lock", &path, error)),
            }
        }
    }

    fn cache_key(id: &str) -> String {
        // An id is any text, and becomes no path.
        let digest = sha2::Sha256::digest(id.as_bytes());
        boxwright_core::Digest::from_sha256(digest.into()).hex().to_owned()
    }
}
