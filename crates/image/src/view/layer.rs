//! One layer, read into memory without its content.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use boxwright_core::{Digest, Error, ErrorKind, Manifest, Result};

use super::resolve::follow;
use super::{Node, NodeKind, below};
use crate::decompress::{Compression, decompress};
use crate::layout::Layout;
use crate::tar::{Header, Kind, Limits, Reader};
use crate::verify::{Hasher, Verified};

/// What a layer says.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// The nodes that items point at. Hard links of one file point at the same.
    pub(super) nodes: Vec<Node>,
    /// What is at each path. Parents that the layer leaves out are there as implied.
    pub(super) items: BTreeMap<PathBuf, Item>,
    /// Paths of lower layers that are gone.
    pub(super) whiteouts: BTreeSet<PathBuf>,
    /// Folders of lower layers that are emptied.
    pub(super) opaque: BTreeSet<PathBuf>,
}

/// What is at a path of a layer.
#[derive(Debug)]
pub(super) enum Item {
    /// A folder that must be there for what is in it.
    Implied,
    /// What the layer describes, by its number among the layer's nodes.
    Node(usize),
    /// Another name for what is at this path of a lower layer.
    LowerLink(PathBuf),
}

/// The marks of OCI layers. Source: OCI image specification 1.1, `layer.md`, "Whiteouts".
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS: &[u8] = b".wh..wh.";

/// Extended attributes that are no content.
const OVERLAY: [&str; 2] = ["trusted.overlay.", "user.overlay."];

/// A layer that is read entry by entry, its diff id verified at its end.
pub(crate) type OpenLayer = Reader<Verified<Box<dyn Read + Send>>>;

/// Opens the layer `number` of an image.
pub(crate) fn open_layer(layout: &Layout, manifest: &Manifest, number: usize) -> Result<OpenLayer> {
    let (descriptor, diff_id) = &manifest.layers[number];
    let limits = Limits::default();
    let (compression, plain) = decompress(layout.open_blocking(&descriptor.digest)?, &limits)?;
    if matches!(compression, Compression::Bzip2 | Compression::Xz) {
        return Err(Error::new(ErrorKind::Protocol, "cannot read the layer")
            .with_cause(format!("it is compressed with {compression}"))
            .with_context("layer", descriptor.digest.as_str()));
    }
    Ok(Reader::new(Verified::new(plain, diff_id.clone()), limits))
}

impl Layer {
    pub(super) fn read(mut reader: OpenLayer, number: usize) -> Result<Self> {
        let mut layer = Self::default();
        let mut entry = 0;
        while let Some(header) = reader.next_entry()? {
            layer.add(header, number, entry, &mut reader)?;
            entry += 1;
        }
        reader.finish()?;
        Ok(layer)
    }

    fn add(
        &mut self,
        header: Header,
        layer: usize,
        entry: u64,
        content: &mut impl Read,
    ) -> Result<()> {
        let named = header.path.clone();
        let hostile = |cause: &str| {
            let message = format!("cannot read the layer's entry `{}`", named.display());
            Error::new(ErrorKind::InvalidInput, message).with_cause(cause)
        };
        let Some(name) = header.path.file_name() else {
            return self.add_root(header, layer, entry);
        };
        let parent = header.path.parent().unwrap_or(Path::new(""));
        let parent =
            self.follow(parent).ok_or_else(|| hostile("its folder is a circle of links"))?;
        self.imply(&parent).map_err(|cause| hostile(&cause))?;
        let bytes = name.as_bytes();
        if bytes == OPAQUE {
            self.opaque.insert(parent);
            return Ok(());
        }
        if bytes.starts_with(AUFS) {
            // Notes that a file system of old kept for itself.
            return Ok(());
        }
        if let Some(hidden) = bytes.strip_prefix(WHITEOUT) {
            if matches!(hidden, b"" | b"." | b"..") {
                return Err(hostile("it hides what is not in its folder"));
            }
            self.whiteouts.insert(parent.join(OsStr::from_bytes(hidden)));
            return Ok(());
        }
        let path = parent.join(name);
        let item = match header.kind {
            // Overlayfs takes that for a mark that hides what is below.
            Kind::CharacterDevice { major: 0, minor: 0 } => {
                return Err(hostile("it is the device 0:0, which hides files in an overlay"));
            }
            Kind::HardLink { target } => {
                let folder = self.follow(target.parent().unwrap_or(Path::new("")));
                let name = target.file_name().ok_or_else(|| hostile("it links the root"))?;
                let target =
                    folder.ok_or_else(|| hostile("its target is a circle of links"))?.join(name);
                match self.items.get(&target) {
                    _ if target == path => return Err(hostile("it is a link to itself")),
                    Some(&Item::Node(node)) if !self.nodes[node].is_folder() => Item::Node(node),
                    Some(Item::LowerLink(first)) => Item::LowerLink(first.clone()),
                    Some(_) => return Err(hostile("it is a hard link to a folder")),
                    None => Item::LowerLink(target),
                }
            }
            _ => self.describe(header, layer, entry, content)?,
        };
        self.put(path, item);
        Ok(())
    }

    fn add_root(&mut self, header: Header, layer: usize, entry: u64) -> Result<()> {
        // The reader lets nothing but a folder stand for the root (threat 3).
        let root = self.describe(header, layer, entry, &mut io::empty())?;
        self.items.insert(PathBuf::new(), root);
        Ok(())
    }

    fn describe(
        &mut self,
        header: Header,
        layer: usize,
        entry: u64,
        content: &mut impl Read,
    ) -> Result<Item> {
        self.nodes.push(node(header, layer, entry, content)?);
        Ok(Item::Node(self.nodes.len() - 1))
    }

    fn is_folder(&self, item: &Item) -> bool {
        match item {
            Item::Implied => true,
            Item::Node(node) => self.nodes[*node].is_folder(),
            Item::LowerLink(_) => false,
        }
    }

    /// Puts an item in place of what the layer had there before.
    fn put(&mut self, path: PathBuf, item: Item) {
        let was_folder = self.items.get(&path).is_some_and(|was| self.is_folder(was));
        if was_folder && !self.is_folder(&item) {
            for path in below(&self.items, &path).cloned().collect::<Vec<_>>() {
                self.items.remove(&path);
            }
        }
        self.items.insert(path, item);
    }

    fn follow(&self, path: &Path) -> Option<PathBuf> {
        follow(path, |path| match self.items.get(path) {
            Some(&Item::Node(node)) => match &self.nodes[node].kind {
                NodeKind::Symlink { target } => Some(target.as_path()),
                _ => None,
            },
            _ => None,
        })
    }

    fn imply(&mut self, folder: &Path) -> Result<(), String> {
        for above in folder.ancestors() {
            match self.items.get(above) {
                Some(item) if self.is_folder(item) => return Ok(()),
                Some(_) => return Err(format!("`{}` is no folder", above.display())),
                None => drop(self.items.insert(above.to_owned(), Item::Implied)),
            }
        }
        Ok(())
    }
}

fn node(header: Header, layer: usize, entry: u64, content: &mut impl Read) -> Result<Node> {
    let kind = match header.kind {
        Kind::File { size } => NodeKind::File { size, digest: digest(content)? },
        Kind::Folder => NodeKind::Folder,
        Kind::Symlink { target } => NodeKind::Symlink { target },
        Kind::Fifo => NodeKind::Fifo,
        Kind::CharacterDevice { major, minor } => NodeKind::CharacterDevice { major, minor },
        Kind::BlockDevice { major, minor } => NodeKind::BlockDevice { major, minor },
        Kind::HardLink { .. } => {
            return Err(Error::new(ErrorKind::Bug, "a hard link is no node of its own"));
        }
    };
    let Header { mode, uid, gid, modified, mut xattrs, .. } = header;
    // Notes that overlayfs keeps for itself: with them, a folder could show what is elsewhere.
    xattrs.retain(|name, _| !OVERLAY.iter().any(|namespace| name.starts_with(namespace)));
    Ok(Node { kind, mode, uid, gid, modified, xattrs, layer, entry })
}

fn digest(content: &mut impl Read) -> Result<Digest> {
    struct Hash(Hasher);
    impl Write for Hash {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hash = io::BufWriter::with_capacity(64 << 10, Hash(Hasher::sha256()));
    io::copy(content, &mut hash).map_err(crate::read_error)?;
    let hash = hash.into_inner().map_err(|error| crate::read_error(error.into_error()))?;
    Ok(hash.0.finish())
}
