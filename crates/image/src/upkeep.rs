//! What is in use: by builds that run, and when it was last.
//!
//! A blob's time is when it was written or used last. Whoever relies on a blob *uses* it first, under the
//! shared lock of the layout, and is one of its *users* meanwhile. Who removes blobs holds the lock alone, and
//! leaves what was used since the oldest user came. So nobody waits for a build, and nothing is taken from one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use boxwright_core::{Digest, Error, Result};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use tempfile::NamedTempFile;

use crate::layout::{Layout, cannot_write};
use crate::lock::{Lock, Sharing};
use crate::verify::DAMAGED;

const LOCK: &str = "lock";
const USERS: &str = "users";

/// How far a clock may be set back while somebody uses the layout: one hour.
const SLACK: Duration = Duration::from_secs(3600);

/// Somebody who uses a layout, until it is dropped or its process ends. Cheap to keep.
#[derive(Debug)]
pub struct User {
    _lock: Lock,
    // Dropped after the lock, and removed then.
    _file: NamedTempFile,
}

impl Layout {
    /// Notes that blobs of this layout are used from now on. What is written or used before the end of
    /// the returned value is not removed by a [`Removal`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when the layout cannot be written,
    /// [`ErrorKind::Conflict`](boxwright_core::ErrorKind::Conflict) when it stays locked for a minute.
    pub fn enter(&self) -> Result<User> {
        let _shared = self.lock(Sharing::Shared)?;
        let folder = self.folder().join(USERS);
        let make = || {
            fs::create_dir_all(&folder)?;
            tempfile::Builder::new().prefix("user-").tempfile_in(&folder)
        };
        let file = make().map_err(|error| cannot_write(&folder, error))?;
        let lock = Lock::wait(file.path(), Sharing::Exclusive)?;
        Ok(User { _lock: lock, _file: file })
    }

    /// Returns the size of a blob, and notes that it is used. `None` if it is not there.
    ///
    /// # Errors
    ///
    /// As [`Layout::enter`].
    pub fn use_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        let _shared = self.lock(Sharing::Shared)?;
        let size = self.size_blocking(digest)?;
        if size.is_some() {
            touch(&self.path(digest)).map_err(|error| cannot_write(self.folder(), error))?;
        }
        Ok(size)
    }

    /// Locks out everyone who looks for blobs, so that some can be removed. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Layout::enter`].
    pub fn lock_for_removal(&self) -> Result<Removal> {
        let lock = self.lock(Sharing::Exclusive)?;
        let used_since = self.oldest_user()?.map(|start| start - SLACK);
        Ok(Removal { layout: self.clone(), used_since, _lock: lock })
    }

    fn lock(&self, sharing: Sharing) -> Result<Lock> {
        Lock::wait(&self.folder().join(LOCK), sharing)
    }

    /// Returns when the oldest user came that is still there, and forgets those that are not.
    fn oldest_user(&self) -> Result<Option<SystemTime>> {
        let folder = self.folder().join(USERS);
        let fail = |error| cannot_write(&folder, error);
        let mut oldest = None;
        for path in entries(&folder).map_err(fail)? {
            // Who holds no lock any more was killed.
            if Lock::try_now(&path, Sharing::Exclusive)?.is_some() {
                let _ = fs::remove_file(&path);
                continue;
            }
            let came = fs::metadata(&path).and_then(|data| data.modified());
            let came = came.unwrap_or_else(|_| SystemTime::now());
            oldest = Some(oldest.map_or(came, |oldest: SystemTime| oldest.min(came)));
        }
        Ok(oldest)
    }
}

/// The right to remove blobs, until it is dropped.
#[derive(Debug)]
pub struct Removal {
    layout: Layout,
    used_since: Option<SystemTime>,
    _lock: Lock,
}

/// Returns the blob of a store that was found damaged, and removed, when `error` came about.
#[must_use]
pub fn damaged(error: &Error) -> Option<&str> {
    let mut facts = error.context().iter();
    facts.find(|(name, _)| *name == DAMAGED).map(|(_, digest)| digest.as_str())
}

/// A blob, and when it was used last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written or used last.
    pub at: SystemTime,
}

impl Removal {
    /// Whether something that was used last at this time may be removed: nobody who is there may rely on it.
    #[must_use]
    pub fn allows(&self, used: SystemTime) -> bool {
        self.used_since.is_none_or(|since| used < since)
    }

    /// Removes a blob.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when it cannot be removed.
    pub fn remove(&self, digest: &Digest) -> Result<()> {
        remove(&self.layout.path(digest)).map_err(|error| cannot_write(self.layout.folder(), error))
    }

    /// Removes what killed writers left, and returns how many bytes that were.
    ///
    /// # Errors
    ///
    /// As [`Removal::remove`].
    pub fn remove_leftovers(&self) -> Result<u64> {
        let fail = |error| cannot_write(self.layout.folder(), error);
        let before = SystemTime::now() - SLACK;
        let mut bytes = 0;
        for path in entries(&self.layout.ingest()).map_err(fail)? {
            let Ok(data) = fs::metadata(&path) else { continue };
            let written = data.modified().unwrap_or_else(|_| SystemTime::now());
            // With nobody there, nobody writes; a writer that is no user writes all the time.
            let is_left = match self.used_since {
                None => written < SystemTime::now() - Duration::from_secs(60),
                Some(since) => written < since && written < before,
            };
            if is_left {
                remove(&path).map_err(fail)?;
                bytes += data.len();
            }
        }
        Ok(bytes)
    }
}

impl Layout {
    /// Returns the size in bytes of each file that is being written, or was when its writer was killed. Blocks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the layout cannot be read.
    ///
    /// [`ErrorKind::Unavailable`]: boxwright_core::ErrorKind::Unavailable
    pub fn unfinished(&self) -> Result<Vec<u64>> {
        let folder = self.ingest();
        let all = entries(&folder).map_err(|error| cannot_read(&folder, error))?;
        // It may be finished meanwhile.
        Ok(all.iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).collect())
    }

    /// Lists all blobs. Blocks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when the layout cannot be read.
    pub fn blobs(&self) -> Result<Vec<Used>> {
        let mut all = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            let folder = self.folder().join("blobs").join(algorithm);
            for path in entries(&folder).map_err(|error| cannot_read(&folder, error))? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                // What has no digest for a name is nobody's blob.
                let Ok(digest) = format!("{algorithm}:{name}").parse() else { continue };
                // It may go away meanwhile.
                let Ok(data) = fs::metadata(&path) else { continue };
                let at = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                all.push(Used { digest, size: data.len(), at });
            }
        }
        Ok(all)
    }
}

/// Sets the time of a file to now. Who may write it may do so, whoever owns it.
pub(crate) fn touch(path: &Path) -> io::Result<()> {
    let special = |nanoseconds| Timespec { tv_sec: 0, tv_nsec: nanoseconds };
    let times =
        Timestamps { last_access: special(UTIME_OMIT), last_modification: special(UTIME_NOW) };
    Ok(rustix::fs::futimens(File::open(path)?, &times)?)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn cannot_read(folder: &Path, error: io::Error) -> Error {
    let message = format!("cannot read `{}`", folder.display());
    Error::new(boxwright_core::ErrorKind::Unavailable, message).with_source(error)
}
