//! Reads files out of layers, each layer once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Manifest, Result};

use crate::layout::Layout;
use crate::verify::Verified;
use crate::view::{NodeKind, Tree, open_layer};

/// What takes the content of a file.
pub type EachFile<'f> = dyn FnMut(&Path, &mut dyn Read) -> Result<()> + 'f;

/// Gives the content of the regular files `wanted` to `each`, in the order of the layers. `tree` was read
/// from the layers of `manifest`. Of hard links, the first wanted name is given. Blocks.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] when one of them is no file; [`ErrorKind::Protocol`], after the call that it
/// concerns, when a content is another than it was; whatever `each` fails with.
pub fn read_files(
    layout: &Layout,
    manifest: &Manifest,
    tree: &Tree,
    wanted: &BTreeSet<PathBuf>,
    each: &mut EachFile<'_>,
) -> Result<()> {
    let mut layers: BTreeMap<usize, BTreeMap<u64, (&Path, &NodeKind)>> = BTreeMap::new();
    for path in wanted {
        let node = tree.get(path).filter(|node| matches!(node.kind, NodeKind::File { .. }));
        let node = node.ok_or_else(|| {
            let message = format!("cannot read `/{}` in the image", path.display());
            Error::new(ErrorKind::NotFound, message).with_cause("it is no regular file")
        })?;
        let files = layers.entry(node.layer).or_default();
        files.entry(node.entry).or_insert((path, &node.kind));
    }
    for (number, files) in layers {
        let read = read_layer(layout, manifest, number, files, each);
        read.map_err(|error| layout.blame(&manifest.layers[number].0.digest, error))?;
    }
    Ok(())
}

/// Gives the content of `files` of one layer, by their places in it, to `each`.
fn read_layer(
    layout: &Layout,
    manifest: &Manifest,
    number: usize,
    mut files: BTreeMap<u64, (&Path, &NodeKind)>,
    each: &mut EachFile<'_>,
) -> Result<()> {
    let mut reader = open_layer(layout, manifest, number)?;
    let mut entry = 0;
    while !files.is_empty() && reader.next_entry()?.is_some() {
        if let Some((path, NodeKind::File { digest, .. })) = files.remove(&entry) {
            let mut content = Verified::new(&mut reader, digest.clone());
            each(path, &mut content)?;
            // What `each` left is read too, so that every byte is verified.
            std::io::copy(&mut content, &mut std::io::sink()).map_err(crate::read_error)?;
        }
        entry += 1;
    }
    Ok(())
}

/// Stacks the layer `number` of `manifest` on `tree`, which has those below it. Blocks.
///
/// # Errors
///
/// As [`Tree::from_layers`].
pub fn add_layer(
    tree: &mut Tree,
    layout: &Layout,
    manifest: &Manifest,
    number: usize,
) -> Result<()> {
    tree.read_one_more(layout, manifest, number)
}
