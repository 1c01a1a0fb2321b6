//! Opens files of a context, one after the other.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use boxwright_core::Result;
use rustix::fs::Stat;

use crate::context::unreadable;
use crate::{Context, Entry, EntryKind, root, xattr};

/// What tells whether a file is still the one that was looked at: after a change, it has another stamp. A change
/// within the tick of the clock in which the stamp was taken is the one that cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The device it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// When its content changed last: seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// When anything about it changed last, which no program can set.
    pub changed: (i64, u32),
}

impl Stamp {
    #[expect(clippy::unnecessary_cast, reason = "the width of these fields differs by platform")]
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }
}

/// Opens files and folders of a context. Those that are in one folder are opened without looking it up again.
#[derive(Debug)]
pub struct Opener {
    context: Context,
    /// The folder of what was opened last.
    folder: Option<(String, OwnedFd)>,
}

impl Opener {
    pub(crate) fn new(context: Context) -> Self {
        Self { context, folder: None }
    }

    /// Opens a regular file or a folder. No link on the way to it is followed.
    ///
    /// # Errors
    ///
    /// As [`Context::open_file`].
    pub fn open(&mut self, entry: &Entry) -> Result<Opened> {
        let opened = self.find(entry).and_then(|(file, stamp)| {
            let path = entry.path.clone();
            // It may have been replaced since it was listed.
            if stamp != entry.stamp { Err(changed()) } else { Ok(Opened { file, path, stamp }) }
        });
        opened.map_err(|error| unreadable(&entry.path, error))
    }

    fn find(&mut self, entry: &Entry) -> io::Result<(File, Stamp)> {
        let (above, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        let folder = match &self.folder {
            Some((known, folder)) if known == above => folder,
            _ => {
                let root = &self.context.0.root;
                let opened =
                    if above.is_empty() { root.folder()? } else { root.open_folder(above)? };
                &self.folder.insert((above.to_owned(), opened)).1
            }
        };
        let file = match entry.kind {
            EntryKind::Folder => File::from(root::open_folder(folder, OsStr::new(name))?),
            _ => root::open_regular(folder, OsStr::new(name))?,
        };
        let stamp = Stamp::of(&rustix::fs::fstat(&file)?);
        Ok((file, stamp))
    }
}

/// A file or folder that is open.
#[derive(Debug)]
pub struct Opened {
    file: File,
    path: String,
    stamp: Stamp,
}

impl Opened {
    /// Reads the extended attributes, sorted by name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when they cannot be read.
    pub fn xattrs(&self) -> Result<Vec<(String, Vec<u8>)>> {
        xattr::all(&self.file).map_err(|error| unreadable(&self.path, error))
    }

    /// Fails unless the file is the one that was opened, with nothing changed since.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when it changed.
    pub fn require_unchanged(&self) -> Result<()> {
        let now = rustix::fs::fstat(&self.file).map(|stat| Stamp::of(&stat));
        let unchanged = now.map_err(io::Error::from).and_then(|now| match now == self.stamp {
            true => Ok(()),
            false => Err(changed()),
        });
        unchanged.map_err(|error| unreadable(&self.path, error))
    }

    /// Returns the error of a failed read.
    #[must_use]
    pub fn read_error(&self, error: io::Error) -> boxwright_core::Error {
        unreadable(&self.path, error)
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it changed while it was read")
}
