//! A tree as one tar: folders first, then files in the order of their layers, then what links to them.

use std::io::Write;
use std::path::Path;

use boxwright_core::{Manifest, Result};

use super::content::each_file;
use crate::layout::Layout;
use crate::tar::{Header, Kind, Writer};
use crate::view::{Node, NodeKind, Tree};

pub(super) fn write(
    tree: &Tree,
    layout: &Layout,
    manifest: &Manifest,
    out: &mut impl Write,
) -> Result<()> {
    let fail = crate::write_error;
    let mut writer = Writer::new(out);
    for (path, node) in tree.iter().filter(|(_, node)| node.is_folder()) {
        writer.header(&header(node, path)).map_err(fail)?;
    }
    each_file(tree, layout, manifest, &mut |node, paths, mut content| {
        writer.file(&header(node, paths[0]), &mut content).map_err(fail)?;
        write_links(&mut writer, node, paths)
    })?;
    for (node, paths) in tree.by_node() {
        if !matches!(node.kind, NodeKind::File { .. } | NodeKind::Folder) {
            writer.header(&header(node, paths[0])).map_err(fail)?;
            write_links(&mut writer, node, &paths)?;
        }
    }
    writer.finish().map_err(fail)?;
    Ok(())
}

fn write_links(writer: &mut Writer<impl Write>, node: &Node, paths: &[&Path]) -> Result<()> {
    for path in &paths[1..] {
        let kind = Kind::HardLink { target: paths[0].to_owned() };
        let header = Header { kind, ..header(node, path) };
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
