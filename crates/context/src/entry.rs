//! One file, folder or link of a context.

use crate::Stamp;

/// Something in a context, as its own `stat` describes it: a link is never followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The path relative to the root of the context, with `/` between its names and none at its ends.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission, set-user-id, set-group-id and sticky bits.
    pub mode: u32,
    /// When its content changed last: seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// What tells hard links of one file, if there are several.
    pub hard_link: Option<HardLink>,
    /// What tells whether it is still the one that was listed.
    pub stamp: Stamp,
}

/// What an [`Entry`] is. Sockets never get this far: an image cannot hold one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink {
        /// Where it points, exactly as it was made.
        target: String,
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

/// The identity of a file with several names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HardLink {
    /// The device it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// How many names it has, in the context or elsewhere.
    pub names: u64,
}
