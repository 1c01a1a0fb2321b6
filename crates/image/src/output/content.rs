//! Reads the content of every file that a tree still has, layer by layer.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use boxwright_core::{Manifest, Result};

use crate::layout::Layout;
use crate::verify::Verified;
use crate::view::{Node, NodeKind, Tree, open_layer};

/// What files are written with: a node, all its paths, and its content, which is verified.
pub(super) type Sink<'s> = dyn FnMut(&Node, &[&Path], &mut dyn Read) -> Result<()> + 's;

/// Gives every regular file to `sink`, once, in the order of the layers.
pub(super) fn each_file(
    tree: &Tree,
    layout: &Layout,
    manifest: &Manifest,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut layers: BTreeMap<usize, BTreeMap<u64, (&Node, Vec<&Path>)>> = BTreeMap::new();
    for (node, paths) in tree.by_node() {
        if matches!(node.kind, NodeKind::File { .. }) {
            layers.entry(node.layer).or_default().insert(node.entry, (node, paths));
        }
    }
    for (number, mut files) in layers {
        let mut reader = open_layer(layout, manifest, number)?;
        let mut entry = 0;
        while !files.is_empty() && reader.next_entry()?.is_some() {
            if let Some((node, paths)) = files.remove(&entry)
                && let NodeKind::File { digest, .. } = &node.kind
            {
                sink(node, &paths, &mut Verified::new(&mut reader, digest.clone()))?;
            }
            entry += 1;
        }
    }
    Ok(())
}
