//! A file system, read from the headers of layers.

mod layer;
mod merge;
mod resolve;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use boxwright_core::{Digest, Error, ErrorKind, Manifest, Result};

pub use resolve::follow;

use crate::layout::Layout;
use crate::pipe::blocking;

pub(crate) use layer::open_layer;

/// What layers stack up to, with whiteouts applied. Paths are relative to the root: `etc/passwd`.
///
/// It is read from headers alone: no link is followed by the file system, and names that a file
/// system would fold into one stay apart.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Each folder stands directly before what is in it. The empty path is the root.
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
    /// The number of its entry in that layer.
    pub(crate) entry: u64,
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

impl Node {
    /// Returns a folder that nothing describes: a parent that an archive leaves out.
    pub(crate) fn implied_folder(layer: usize) -> Self {
        Self {
            kind: NodeKind::Folder,
            mode: 0o755,
            uid: 0,
            gid: 0,
            modified: (0, 0),
            xattrs: BTreeMap::new(),
            layer,
            entry: 0,
        }
    }

    /// Returns whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.kind == NodeKind::Folder
    }
}

impl Tree {
    /// Reads the layers of `manifest` and stacks them up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when `layout` lacks a layer, [`ErrorKind::Protocol`] when a layer is
    /// broken or is not the one that the config means, [`ErrorKind::InvalidInput`] when one is hostile,
    /// [`ErrorKind::Exhausted`] when one exceeds a limit.
    pub async fn from_layers(layout: &Layout, manifest: &Manifest) -> Result<Self> {
        let (layout, manifest) = (layout.clone(), manifest.clone());
        blocking(move || Self::read_layers(&layout, &manifest)).await
    }

    /// Returns what is at `path`, absolute or relative to the root. A link there is not followed, and
    /// none on the way to it.
    #[must_use]
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&Node> {
        self.paths.get(relative(path.as_ref())).map(|&number| &self.nodes[number])
    }

    /// Lists everything, each folder directly before what is in it, in the order of names. The root is
    /// not listed.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Node)> {
        let listed = self.paths.iter().filter(|(path, _)| !path.as_os_str().is_empty());
        listed.map(|(path, &number)| (path.as_path(), &self.nodes[number]))
    }

    /// Lists the names of what is in the folder `path`, in their order.
    pub fn names_in<'t>(&'t self, path: &'t Path) -> impl Iterator<Item = &'t OsStr> {
        let path = relative(path);
        below(&self.paths, path)
            .filter(move |below| below.parent() == Some(path))
            .filter_map(|below| below.file_name())
    }

    /// Returns whether two paths are hard links of one file.
    #[must_use]
    pub fn same_file(&self, a: impl AsRef<Path>, b: impl AsRef<Path>) -> bool {
        match (self.get(a), self.get(b)) {
            (Some(a), Some(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }

    /// Reads the regular file that `path` leads to when links are followed inside the root. `layout` and
    /// `manifest` are those that the tree was read from.
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
        let shown = path.as_ref().display().to_string();
        let cannot = |kind, cause: String| {
            Error::new(kind, format!("cannot read `{shown}` in the image")).with_cause(cause)
        };
        let Some((_, node)) = self.resolve(&path) else {
            return Err(cannot(ErrorKind::NotFound, "there is no such file".into()));
        };
        let NodeKind::File { size, digest } = node.kind.clone() else {
            return Err(cannot(ErrorKind::NotFound, "it is no regular file".into()));
        };
        if size > limit {
            return Err(cannot(ErrorKind::Exhausted, format!("it has more than {limit} bytes")));
        }
        let bytes = read_entry(layout, manifest, node, limit).await?;
        if crate::manifest::digest_of(&bytes) != digest {
            return Err(cannot(ErrorKind::Protocol, "its layer has changed".into()));
        }
        Ok(bytes)
    }

    /// Lists the nodes with all their paths, each node once.
    pub(crate) fn by_node(&self) -> Vec<(&Node, Vec<&Path>)> {
        let mut paths: Vec<Vec<&Path>> = vec![Vec::new(); self.nodes.len()];
        for (path, &number) in &self.paths {
            paths[number].push(path);
        }
        self.nodes.iter().zip(paths).filter(|(_, paths)| !paths.is_empty()).collect()
    }
}

/// Reads at most `length` bytes of the file at `path`, which is no link. They are not verified.
pub(crate) async fn read_head(
    tree: &Tree,
    layout: &Layout,
    manifest: &Manifest,
    path: &Path,
    length: u64,
) -> Result<Vec<u8>> {
    match tree.get(path) {
        Some(node) => read_entry(layout, manifest, node, length).await,
        None => Ok(Vec::new()),
    }
}

async fn read_entry(
    layout: &Layout,
    manifest: &Manifest,
    node: &Node,
    limit: u64,
) -> Result<Vec<u8>> {
    let (layer, number) = (node.layer, node.entry);
    let (layout, manifest) = (layout.clone(), manifest.clone());
    blocking(move || {
        let mut reader = open_layer(&layout, &manifest, layer)?;
        for _ in 0..=number {
            reader.next_entry()?;
        }
        let mut bytes = Vec::new();
        reader.take(limit).read_to_end(&mut bytes).map_err(crate::read_error)?;
        Ok(bytes)
    })
    .await
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// Lists `path`, if it is there, and every path below it.
fn below<'m, V>(
    map: &'m BTreeMap<PathBuf, V>,
    path: &'m Path,
) -> impl Iterator<Item = &'m PathBuf> {
    let from = (Bound::Included(path), Bound::Unbounded);
    let paths = map.range::<Path, _>(from).map(|(below, _)| below);
    paths.take_while(move |below| below.starts_with(path))
}
