//! A file system, read from the headers of layers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boxwright_core::{Digest, Error, ErrorKind, Manifest, Result};

use crate::layout::Layout;

/// What layers stack up to, with whiteouts applied. Paths are relative to the root: `etc/passwd`.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    paths: BTreeMap<PathBuf, usize>,
    nodes: Vec<Node>,
}

/// A file, folder or link of a [`Tree`]. Hard links of one file share one node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Permission, set-user-id, set-group-id and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When it changed last: seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The number of the layer it comes from, from 0.
    pub layer: usize,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// The SHA-256 digest of its content.
        digest: Digest,
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

impl Tree {
    /// Reads the layers of `manifest` and stacks them up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when `layout` lacks a layer, [`ErrorKind::Protocol`] when a layer is
    /// broken, [`ErrorKind::InvalidInput`] when one is hostile.
    pub async fn from_layers(layout: &Layout, manifest: &Manifest) -> Result<Self> {
        let _ = (layout, manifest);
        Err(unwritten())
    }

    /// Returns what is at `path`, absolute or relative to the root. A link there is not followed, and
    /// none on the way to it.
    #[must_use]
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&Node> {
        let path = path.as_ref();
        self.paths.get(path.strip_prefix("/").unwrap_or(path)).map(|&number| &self.nodes[number])
    }

    /// Returns where `path` leads when links are followed inside the root, and what is there.
    #[must_use]
    pub fn resolve(&self, path: impl AsRef<Path>) -> Option<(PathBuf, &Node)> {
        let _ = path;
        None
    }

    /// Lists everything, each folder before what is in it, in the order of names. The root is not listed.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.paths.iter().map(|(path, &number)| (path.as_path(), &self.nodes[number]))
    }

    /// Lists the names of what is in the folder `path`.
    pub fn names_in<'t>(&'t self, path: &'t Path) -> impl Iterator<Item = &'t std::ffi::OsStr> {
        let path = path.strip_prefix("/").unwrap_or(path);
        self.paths.keys().filter(move |p| p.parent() == Some(path)).filter_map(|p| p.file_name())
    }

    /// Returns whether two paths are hard links of one file.
    #[must_use]
    pub fn same_file(&self, a: impl AsRef<Path>, b: impl AsRef<Path>) -> bool {
        match (self.get(a), self.get(b)) {
            (Some(a), Some(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }

    /// Reads the regular file that `path` leads to when links are followed inside the root.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when nothing or something else is there, [`ErrorKind::Exhausted`] when it
    /// has more than `limit` bytes.
    pub async fn read_file(
        &self,
        layout: &Layout,
        manifest: &Manifest,
        path: impl AsRef<Path> + Send,
        limit: u64,
    ) -> Result<Vec<u8>> {
        let _ = (layout, manifest, path, limit);
        Err(unwritten())
    }
}

fn unwritten() -> Error {
    Error::new(ErrorKind::Bug, "the view is being written")
}
