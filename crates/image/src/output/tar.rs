//! A tree as one tar: folders first, then files in the order of their layers, then what links to them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use boxwright_core::{Manifest, Result};

use super::content::each_file;
use crate::layout::Layout;
use crate::tar::{Header, Kind, Writer};
use crate::view::{Node, NodeKind, Tree};

/// What an image's file system is put into when it is a part of a tar. Default: it is all of it.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The folder of the tar that it is put in.
    pub folder: PathBuf,
    /// Entries that come before it, by their paths in the tar, each with its content.
    pub before: Vec<(Header, Vec<u8>)>,
    /// Entries that come after it.
    pub after: Vec<(Header, Cow<'static, [u8]>)>,
    /// Paths of the image that are left out, with all that is in them.
    pub without: BTreeSet<PathBuf>,
}

impl Frame {
    fn has(&self, path: &Path) -> bool {
        self.without.is_empty() || !path.ancestors().any(|path| self.without.contains(path))
    }

    fn header(&self, node: &Node, path: &Path) -> Header {
        Header { path: self.folder.join(path), ..header(node, path) }
    }
}

pub(super) fn write(
    tree: &Tree,
    layout: &Layout,
    manifest: &Manifest,
    frame: &Frame,
    out: &mut impl Write,
) -> Result<()> {
    let fail = crate::write_error;
    let mut writer = Writer::new(out);
    for (header, content) in &frame.before {
        writer.file(header, &mut content.as_slice()).map_err(fail)?;
    }
    for (path, node) in tree.iter().filter(|(path, node)| node.is_folder() && frame.has(path)) {
        writer.header(&frame.header(node, path)).map_err(fail)?;
    }
    each_file(tree, layout, manifest, &mut |node, paths, mut content| {
        let paths = kept(frame, paths);
        let Some(first) = paths.first() else { return Ok(()) };
        writer.file(&frame.header(node, first), &mut content).map_err(fail)?;
        write_links(&mut writer, frame, node, &paths)
    })?;
    for (node, paths) in tree.by_node() {
        let paths = kept(frame, &paths);
        if let Some(first) = paths.first()
            && !matches!(node.kind, NodeKind::File { .. } | NodeKind::Folder)
        {
            writer.header(&frame.header(node, first)).map_err(fail)?;
            write_links(&mut writer, frame, node, &paths)?;
        }
    }
    for (header, content) in &frame.after {
        writer.file(header, &mut content.as_ref()).map_err(fail)?;
    }
    writer.finish().map_err(fail)?;
    Ok(())
}

fn kept<'p>(frame: &Frame, paths: &[&'p Path]) -> Vec<&'p Path> {
    paths.iter().copied().filter(|path| frame.has(path)).collect()
}

fn write_links(
    writer: &mut Writer<impl Write>,
    frame: &Frame,
    node: &Node,
    paths: &[&Path],
) -> Result<()> {
    for path in &paths[1..] {
        let kind = Kind::HardLink { target: frame.folder.join(paths[0]) };
        let header = Header { kind, ..frame.header(node, path) };
        writer.header(&header).map_err(crate::write_error)?;
    }
    Ok(())
}

fn header(node: &Node, path: &Path) -> Header {
    let kind = match &node.kind {
        NodeKind::File { size, .. } => Kind::File { size: *size },
        NodeKind::Folder => Kind::Folder,
        NodeKind::Symlink { target } => Kind::Symlink { target: target.clone() },
        NodeKind::Fifo => Kind::Fifo,
        &NodeKind::CharacterDevice { major, minor } => Kind::CharacterDevice { major, minor },
        &NodeKind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
    };
    Header {
        path: path.to_owned(),
        kind,
        mode: node.mode,
        uid: node.uid,
        gid: node.gid,
        modified: node.modified,
        xattrs: node.xattrs.clone(),
    }
}
