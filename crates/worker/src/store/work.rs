//! Folders for work in progress: locked while they are in use, and swept when they are not.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use boxwright_core::Result;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::failure::on_path;
use crate::remove::remove_tree;

/// A folder of its own for one piece of work. It goes away with the value; that of a killed process is swept.
#[derive(Debug)]
pub(crate) struct WorkFolder {
    path: PathBuf,
    _lock: File,
}

impl WorkFolder {
    pub(super) fn make(store: &Path) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // While this is held nothing is swept, so the folder is locked before a sweep can see it.
        let making = lock(&store.join("sweep.lock"), FlockOperation::LockShared)?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            // Process ids repeat, and in a container they repeat often.
            let name = format!("{}-{number}-{:x}", std::process::id(), now());
            let path = store.join("work").join(name);
            match std::fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(on_path("cannot make the folder", &path, error)),
            }
            let lock = lock(&path.join("lock"), FlockOperation::LockExclusive)?;
            drop(making);
            return Ok(Self { path, _lock: lock });
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::create_dir(&path)
            .map_err(|error| on_path("cannot make the folder", &path, error))?;
        Ok(path)
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next start: the lock goes with the value.
        let _ = remove_tree(&self.path);
    }
}

/// Makes what work folders in `store` need, and removes what no process holds any more.
pub(super) fn prepare(store: &Path) -> Result<()> {
    for part in ["work", "trash"] {
        let path = store.join(part);
        std::fs::create_dir_all(&path)
            .map_err(|error| on_path("cannot make the folder", &path, error))?;
    }
    sweep(store)
}

fn sweep(store: &Path) -> Result<()> {
    let trash = store.join("trash");
    {
        let _sweeping = lock(&store.join("sweep.lock"), FlockOperation::LockExclusive)?;
        for entry in list(&store.join("work"))? {
            let lock = match File::open(entry.join("lock")) {
                Ok(lock) => Some(lock),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(on_path("cannot open", &entry, error)),
            };
            let held = lock.as_ref().is_some_and(|lock| {
                rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_err()
            });
            let name = entry.file_name().unwrap_or_default();
            if !held {
                // Renamed, so that removing much does not keep others waiting.
                let to = trash.join(name);
                match std::fs::rename(&entry, &to) {
                    // Whoever made it has just removed it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    moved => moved.map_err(|error| on_path("cannot remove", &entry, error))?,
                }
            }
        }
    }
    for entry in list(&trash)? {
        // Others may be sweeping the same.
        remove_tree(&entry).map_err(|error| on_path("cannot remove", &entry, error))?;
    }
    Ok(())
}

/// Opens the file `path` and locks it. The lock ends with the file, or with the process.
pub(crate) fn lock(path: &Path, operation: FlockOperation) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| on_path("cannot open", path, error))?;
    loop {
        match rustix::fs::flock(&file, operation) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(error) => return Err(on_path("cannot lock", path, error)),
        }
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |error| on_path("cannot read the folder", folder, error);
    let entries = std::fs::read_dir(folder).map_err(fail)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(fail)).collect()
}

fn now() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos())
}
