//! What two images have differently that should be the same to the byte.

use boxwright_core::{Digest, Manifest, Result};
use boxwright_engines::store::Store;
use boxwright_image::compare::{Comparison, Seen};
use boxwright_image::manifest::DOCUMENT_LIMIT;
use boxwright_image::view::Tree;
use serde_json::Value;

use crate::column::Column;

/// How many differences are told.
const SHOWN: usize = 3;

/// Says what the images `first` and `second`, each of a column, have differently.
pub(super) async fn difference(first: (&Column, &Digest), second: (&Column, &Digest)) -> String {
    match try_difference(first, second).await {
        Ok(text) => text,
        Err(error) => format!("they cannot be compared: {error}"),
    }
}

async fn try_difference(first: (&Column, &Digest), second: (&Column, &Digest)) -> Result<String> {
    let one = first.0.store.image(first.1).await?;
    let other = second.0.store.image(second.1).await?;
    let (Some((store, manifest)), Some((other_store, other_manifest))) = (one, other) else {
        return Ok("an image is gone from its store".to_owned());
    };
    let one = Side::read(&store, &manifest).await?;
    let other = Side::read(&other_store, &other_manifest).await?;
    Ok(one.difference(&other))
}

/// One of the two images.
struct Side {
    manifest: Manifest,
    config: Value,
    tree: Tree,
    seen: Seen,
}

impl Side {
    async fn read(store: &Store, manifest: &Manifest) -> Result<Self> {
        let layout = store.layout();
        let bytes = layout.read(&manifest.config.digest, DOCUMENT_LIMIT).await?;
        let tree = Tree::from_layers(layout, manifest).await?;
        let seen = Seen::new(&bytes, &tree)?;
        // It was read as JSON just now.
        let config = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Self { manifest: manifest.clone(), config, tree, seen })
    }

    fn difference(&self, other: &Self) -> String {
        let Comparison { config, files } = Comparison::between(&self.seen, &other.seen);
        let mut found: Vec<String> = config.iter().chain(&files).map(ToString::to_string).collect();
        if found.is_empty() {
            found = self.times(other);
        }
        if found.is_empty() {
            found = self.documents(other);
        }
        let count = found.len();
        found.truncate(SHOWN);
        let more =
            if count > SHOWN { format!(", and {} more", count - SHOWN) } else { String::new() };
        found.join(", ") + &more
    }

    /// Files that have another time.
    fn times(&self, other: &Self) -> Vec<String> {
        let files = self.tree.iter().filter_map(|(path, node)| {
            let theirs = other.tree.get(path)?.modified;
            let ours = node.modified;
            let text = || format!("`/{}` has the time {ours:?} against {theirs:?}", path.display());
            (ours != theirs).then(text)
        });
        files.collect()
    }

    /// What no container sees: how the image came about, and how layers are written.
    fn documents(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for field in ["created", "history"] {
            let (ours, theirs) = (&self.config[field], &other.config[field]);
            if ours != theirs {
                found.push(format!("`{field}`: {ours} against {theirs}"));
            }
        }
        let layers = self.manifest.layers.iter().zip(&other.manifest.layers).enumerate();
        for (number, ((layer, diff_id), (their_layer, their_diff_id))) in layers {
            if diff_id != their_diff_id {
                found.push(format!("layer {} is written otherwise", number + 1));
            } else if layer != their_layer {
                found.push(format!("layer {} is compressed otherwise", number + 1));
            }
        }
        if found.is_empty() {
            found.push("the bytes of the config or of the manifest".to_owned());
        }
        found
    }
}
