//! Layers that lie one over the other.

use std::path::PathBuf;

use boxwright_core::{Error, ErrorKind, LayerChain, Result};
use boxwright_image::tar::Kind;

use super::layers::layer_path;
use super::upkeep::touch;
use super::{About, WorkerStore};
use crate::canonical::Entry;
use crate::failure::on_path;

/// A chain of layers, as it is stacked up.
#[derive(Debug)]
pub(crate) struct Stack {
    /// Their folders below that of the store, uppermost first.
    pub(crate) layers: Vec<PathBuf>,
    /// What the root is.
    pub(crate) root: Entry,
}

impl WorkerStore {
    /// Returns how `chain` is stacked up.
    pub(crate) fn stack(&self, chain: &LayerChain) -> Result<Stack> {
        // From the lowest on, since a layer may mean something only together with those below it.
        let mut layers: Vec<PathBuf> = Vec::new();
        let mut root = None;
        for layer in chain {
            let folder = self.layer(&layer.diff_id);
            if !self.has(&layer.diff_id)? {
                return Err(Error::new(
                    ErrorKind::Bug,
                    format!("the layer `{}` was not sent to the worker", layer.diff_id),
                ));
            }
            let about = About::read(&folder)?;
            touch(&folder);
            let path = layer_path(&layer.diff_id).join("fs");
            if about.opaque_root {
                layers.clear();
                root = None;
            }
            if about.has_root {
                let full = self.folder().join(&path);
                let read = Entry::read(&full, self.owners());
                root = Some(read.map_err(|error| on_path("cannot read", &full, error))?);
            }
            // A layer that is there twice hides itself: only the upper one counts.
            layers.retain(|other| *other != path);
            layers.insert(0, path);
            if let Some(patch) = self.patch(&layers, &about)? {
                layers.insert(0, patch);
            }
        }
        Ok(Stack { layers, root: root.unwrap_or_else(nothing_said) })
    }
}

/// Returns the root of an image that does not describe it.
fn nothing_said() -> Entry {
    Entry {
        kind: Some(Kind::Folder),
        mode: 0o755,
        uid: 0,
        gid: 0,
        modified: (0, 0),
        attributes: std::collections::BTreeMap::new(),
        inode: (0, 0),
        links: 1,
    }
}
