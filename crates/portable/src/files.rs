//! Files that can be copied: of the build context, or of an image.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use boxwright_context::{Context, Entry, EntryKind};
use boxwright_core::{Descriptor, Digest, Error, ErrorKind, Result};
use boxwright_image::layer;
use boxwright_image::layout::Layout;
use boxwright_image::tar::{Header, Kind};
use boxwright_image::view::{self, Node, NodeKind, Tree};

use crate::facts::{Fact, Facts};
use crate::memory::FileMemory;

/// The files of one place, by their paths relative to its root.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) origin: Origin,
    files: BTreeMap<PathBuf, File>,
    /// What an image cannot hold, and is left out.
    pub(crate) sockets: Vec<String>,
}

/// Where content is read from.
#[derive(Debug)]
pub(crate) enum Origin {
    Nothing,
    Context(Context, Facts),
    Image { layout: Layout, layers: Vec<(Descriptor, Digest)>, tree: Arc<Tree> },
}

#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) header: Header,
    /// What is equal for hard links of one file, and means nothing beside.
    pub(crate) link: Option<(u64, u64)>,
    digest: Option<Digest>,
    entry: Option<Entry>,
}

impl Files {
    pub(crate) fn nothing() -> Self {
        Self { origin: Origin::Nothing, files: BTreeMap::new(), sockets: Vec::new() }
    }

    /// Lists a context, of which `memory` knows what was found out before. Blocks.
    pub(crate) fn of_context(context: Context, memory: FileMemory) -> Result<Self> {
        Self::listed_at(context, memory, SystemTime::now())
    }

    /// Lists a context as [`Files::of_context`] does, at the time `now`.
    pub(crate) fn listed_at(context: Context, memory: FileMemory, now: SystemTime) -> Result<Self> {
        let facts = Facts::new(memory, now);
        let mut files = BTreeMap::new();
        let mut walk = context.walk();
        for entry in &mut walk {
            let entry = entry?;
            let header = Header { modified: entry.modified, ..header_of(&entry) };
            let link = entry.hard_link.map(|link| (link.device, link.inode));
            files.insert(
                PathBuf::from(&entry.path),
                File { header, link, digest: None, entry: Some(entry) },
            );
        }
        let sockets = walk.sockets().to_vec();
        Ok(Self { origin: Origin::Context(context, facts), files, sockets })
    }

    /// Lists an image.
    pub(crate) fn of_image(
        layout: &Layout,
        layers: &[(Descriptor, Digest)],
        tree: Arc<Tree>,
    ) -> Self {
        let files = tree.iter().map(|(path, node)| (path.to_owned(), of_node(node))).collect();
        let (layout, layers) = (layout.clone(), layers.to_vec());
        Self { origin: Origin::Image { layout, layers, tree }, files, sockets: Vec::new() }
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&File> {
        self.files.get(path)
    }

    /// Lists everything, each folder before what is in it.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// Lists what is below the folder `path`, without it.
    pub(crate) fn below<'f>(&'f self, path: &'f Path) -> impl Iterator<Item = &'f Path> {
        let after = (Bound::Excluded(path), Bound::Unbounded);
        let paths = self.files.range::<Path, _>(after).map(|(below, _)| below.as_path());
        paths.take_while(move |below| below.starts_with(path))
    }

    /// Returns where `path` leads when links are followed inside the root.
    pub(crate) fn follow(&self, path: &Path) -> Option<PathBuf> {
        view::follow(path, |path| match &self.get(path)?.header.kind {
            Kind::Symlink { target } => Some(target.clone()),
            _ => None,
        })
    }

    /// Describes a file: with its attributes and the digest of a regular file's content, unless it is a file
    /// of a context that was not read yet.
    pub(crate) fn describe(&self, file: &File) -> Result<(Header, Option<Digest>)> {
        let mut header = file.header.clone();
        let (Origin::Context(context, facts), Some(entry)) = (&self.origin, &file.entry) else {
            return Ok((header, file.digest.clone()));
        };
        if let Some(fact) = facts.find(entry) {
            header.xattrs = fact.xattrs;
            return Ok((header, fact.digest));
        }
        if entry.kind == EntryKind::Folder {
            let fact = Fact { xattrs: context.xattrs(entry)?.into_iter().collect(), digest: None };
            facts.learn(entry, &fact);
            header.xattrs = fact.xattrs;
        }
        Ok((header, None))
    }

    /// Keeps what was found out of a context for later builds, as far as that is possible. Blocks.
    pub(crate) fn save(&self) {
        if let Origin::Context(_, facts) = &self.origin {
            facts.save();
        }
    }

    /// Returns the entry of the context that `path` is, if it is one.
    pub(crate) fn entry(&self, path: &Path) -> Option<&Entry> {
        self.get(path)?.entry.as_ref()
    }

    /// Opens a regular file of a context.
    pub(crate) fn open(&self, path: &Path) -> Result<std::fs::File> {
        match (&self.origin, self.entry(path)) {
            (Origin::Context(context, _), Some(entry)) => context.open_file(entry),
            _ => {
                Err(Error::new(ErrorKind::Bug, "a file of an image is opened as one of a context"))
            }
        }
    }

    /// Returns the ignore file that may have excluded something.
    pub(crate) fn ignore_file(&self) -> Option<&str> {
        match &self.origin {
            Origin::Context(context, _) => context.ignore_file_name(),
            _ => None,
        }
    }
}

fn header_of(entry: &Entry) -> Header {
    let kind = match &entry.kind {
        EntryKind::File { size } => Kind::File { size: *size },
        EntryKind::Folder => Kind::Folder,
        EntryKind::Symlink { target } => Kind::Symlink { target: target.into() },
        EntryKind::Fifo => Kind::Fifo,
        &EntryKind::CharacterDevice { major, minor } => Kind::CharacterDevice { major, minor },
        &EntryKind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
    };
    Header::new("", kind, entry.mode)
}

/// Describes a node of an image.
pub(crate) fn of_node(node: &Node) -> File {
    let mut digest_of_file = None;
    let kind = match &node.kind {
        NodeKind::File { size, digest } => {
            digest_of_file = Some(digest.clone());
            Kind::File { size: *size }
        }
        NodeKind::Folder => Kind::Folder,
        NodeKind::Symlink { target } => Kind::Symlink { target: target.clone() },
        NodeKind::Fifo => Kind::Fifo,
        &NodeKind::CharacterDevice { major, minor } => Kind::CharacterDevice { major, minor },
        &NodeKind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
    };
    let header = Header {
        uid: node.uid,
        gid: node.gid,
        modified: node.modified,
        xattrs: node.xattrs.clone(),
        ..Header::new("", kind, node.mode)
    };
    // Hard links of one file share its node.
    let link = digest_of_file.is_some().then_some((0, std::ptr::from_ref(node).addr() as u64));
    File { header, link, digest: digest_of_file, entry: None }
}

/// Stacks the layers that `tree` lacks on it. Blocks.
pub(crate) fn stack(
    tree: &mut Arc<Tree>,
    stacked: usize,
    layout: &Layout,
    layers: &[(Descriptor, Digest)],
) -> Result<()> {
    let manifest = layer::chain(layers);
    for number in stacked..layers.len() {
        layer::add_layer(Arc::make_mut(tree), layout, &manifest, number)?;
    }
    Ok(())
}
