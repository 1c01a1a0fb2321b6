//! Tars: the one reader and the one writer in the workspace.
//!
//! The reader takes what tar programs of today write (ustar, GNU, PAX), and refuses what two
//! readers would understand differently. The writer gives the same bytes for the same entries.

mod extended;
mod number;
mod path;
mod pax;
mod raw;
mod reader;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use reader::{Limits, Reader};
pub use writer::Writer;

/// The size that everything in a tar is rounded up to.
pub(crate) const BLOCK: usize = 512;

/// One entry of a tar, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The path below the root, cleaned: no `.`, no `..`, no `/` at its ends. Empty for the root itself.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Permission, set-user-id, set-group-id and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When it changed last: seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// Extended attributes, such as `security.capability`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, whose content follows.
    File {
        /// Its size in bytes.
        size: u64,
    },
    /// Another name for a file that came before.
    HardLink {
        /// The path of that file, cleaned like [`Header::path`].
        target: PathBuf,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink {
        /// Where it points, exactly as it was made.
        target: PathBuf,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharacterDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
}

impl Header {
    /// Returns an entry of root's, changed in 1970, with no extended attributes.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, kind: Kind, mode: u32) -> Self {
        let (path, xattrs) = (path.into(), BTreeMap::new());
        Self { path, kind, mode, uid: 0, gid: 0, modified: (0, 0), xattrs }
    }

    /// Returns the size of the content that follows.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }
}

/// Cleans the name of an entry as the reader does, or says why it is refused.
pub(crate) fn clean_path(name: &[u8]) -> Result<PathBuf, String> {
    path::clean(name, Limits::default().path_bytes)
}

/// How many bytes of padding follow `size` bytes of content.
pub(crate) fn padding(size: u64) -> usize {
    let over = (size % BLOCK as u64) as usize;
    if over == 0 { 0 } else { BLOCK - over }
}
