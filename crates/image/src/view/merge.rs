//! Stacks layers up.

use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Manifest, Result};

use super::layer::{Item, Layer, open_layer};
use super::{Node, Tree, below};
use crate::layout::Layout;

/// How many paths all layers may have together.
const MOST_PATHS: usize = 10_000_000;

impl Tree {
    pub(crate) fn read_layers(layout: &Layout, manifest: &Manifest) -> Result<Self> {
        let mut tree = Self::default();
        for number in 0..manifest.layers.len() {
            let layer = open_layer(layout, manifest, number)
                .and_then(|reader| Layer::read(reader, number))
                .and_then(|layer| tree.stack(layer, number));
            let name = manifest.layers[number].0.digest.as_str();
            layer.map_err(|error| {
                let error = layout.blame(&manifest.layers[number].0.digest, error);
                error.with_context("layer", name)
            })?;
        }
        Ok(tree)
    }

    /// Puts the layer `number` of `manifest` on top of those below it, which the tree has already.
    pub(crate) fn read_one_more(
        &mut self,
        layout: &Layout,
        manifest: &Manifest,
        number: usize,
    ) -> Result<()> {
        let layer = open_layer(layout, manifest, number)
            .and_then(|reader| Layer::read(reader, number))
            .and_then(|layer| self.stack(layer, number));
        layer.map_err(|error| layout.blame(&manifest.layers[number].0.digest, error))
    }

    /// Puts a layer on top, as overlayfs would: marks hide what is below, a folder joins a folder,
    /// anything else replaces.
    fn stack(&mut self, layer: Layer, number: usize) -> Result<()> {
        for path in &layer.whiteouts {
            self.remove(path, true);
        }
        for path in &layer.opaque {
            self.remove(path, false);
        }
        // Names of lower files are looked up before any of them is replaced.
        let mut lower_links = Vec::new();
        for (path, item) in &layer.items {
            if let Item::LowerLink(target) = item {
                let node = self.paths.get(target).copied();
                let file = node.filter(|&node| !self.nodes[node].is_folder());
                let file = file.ok_or_else(|| no_target(path, target))?;
                lower_links.push((path.clone(), file));
            }
        }
        let first = self.nodes.len();
        self.nodes.extend(layer.nodes);
        for (path, item) in layer.items {
            match item {
                Item::Implied if self.is_folder(&path) => {}
                Item::Implied => {
                    self.nodes.push(Node::implied_folder(number));
                    self.insert(path, self.nodes.len() - 1);
                }
                Item::Node(node) => self.insert(path, first + node),
                Item::LowerLink(_) => {}
            }
        }
        for (path, node) in lower_links {
            self.insert(path, node);
        }
        if self.nodes.len() > MOST_PATHS {
            return Err(Error::new(ErrorKind::Exhausted, "cannot read the layers")
                .with_cause(format!("they have more than {MOST_PATHS} files together")));
        }
        Ok(())
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.paths.get(path).is_some_and(|&node| self.nodes[node].is_folder())
    }

    fn insert(&mut self, path: PathBuf, node: usize) {
        if !(self.nodes[node].is_folder() && self.is_folder(&path)) {
            self.remove(&path, true);
        }
        self.paths.insert(path, node);
    }

    /// Removes what is below `path`, and `path` too if `itself` says so.
    fn remove(&mut self, path: &Path, itself: bool) {
        let below = below(&self.paths, path).filter(|below| itself || *below != path);
        for path in below.cloned().collect::<Vec<_>>() {
            self.paths.remove(&path);
        }
    }
}

fn no_target(path: &Path, target: &Path) -> Error {
    let message = format!("cannot read the layer's entry `{}`", path.display());
    let cause = format!("it is a hard link to `{}`, which is no file there", target.display());
    Error::new(ErrorKind::InvalidInput, message).with_cause(cause)
}
