//! What a layer means only together with those below it.
//!
//! A layer may put a file into a folder that it does not describe, or give another name to a file of a layer
//! below. Unpacked by itself it cannot say so; a small layer right above it does, made once for each chain.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Result};
use sha2::Digest as _;

use super::upkeep::touch;
use super::{About, WorkerStore};
use crate::canonical::{Lower, set_attributes};
use crate::copy::copy_one;
use crate::failure::on_path;

impl WorkerStore {
    /// Returns the folder, below the store's, that completes the layer `layers[0]`, which lies over the others.
    /// `None` when it is complete.
    pub(super) fn patch(&self, layers: &[PathBuf], about: &About) -> Result<Option<PathBuf>> {
        if about.stands_alone() {
            return Ok(None);
        }
        let mut hasher = sha2::Sha256::new();
        for layer in layers {
            hasher.update(layer.as_os_str().as_encoded_bytes());
            hasher.update([0]);
        }
        let chain = boxwright_core::Digest::from_sha256(hasher.finalize().into());
        let path = Path::new("layers").join(format!("patch-{}", chain.hex()));
        let place = self.folder().join(&path);
        let files = path.join("fs");
        if place.exists() {
            touch(&place);
            return Ok(Some(files));
        }
        let work = self.work_folder()?;
        let made = work.folder("patch")?;
        let to = work.folder("patch/fs")?;
        self.fill(&to, layers, about)?;
        match std::fs::rename(&made, &place) {
            Err(_) if place.exists() => {}
            renamed => renamed.map_err(|error| on_path("cannot write to", &place, error))?,
        }
        Ok(Some(files))
    }

    fn fill(&self, to: &Path, layers: &[PathBuf], about: &About) -> Result<()> {
        let lower = |layers: &[PathBuf]| {
            let folders = layers.iter().map(|layer| self.folder().join(layer)).collect();
            Lower::new(folders, self.marks(), self.owners())
        };
        let (all, below) = (lower(layers), lower(layers.get(1..).unwrap_or_default()));
        let implied: BTreeSet<&Path> = about.implied().collect();
        let links: Vec<_> = about.lower_links().collect();
        let mut folders = BTreeSet::new();
        for path in
            implied.iter().copied().chain(links.iter().filter_map(|(link, _)| link.parent()))
        {
            folders.extend(path.ancestors().filter(|path| !path.as_os_str().is_empty()));
        }
        let fail = |path: &Path, error: io::Error| on_path("cannot write to", path, error);
        for folder in &folders {
            let folder = to.join(folder);
            std::fs::create_dir(&folder).map_err(|error| fail(&folder, error))?;
        }
        for (link, target) in links {
            let found = below.follow(target).map_err(|error| fail(to, error))?;
            let found = found.filter(|found| !found.entry.is_folder()).ok_or_else(|| {
                let message = format!("cannot read the layer's entry `{}`", link.display());
                Error::new(ErrorKind::InvalidInput, message).with_cause(format!(
                    "it is a hard link to `{}`, which is no file there",
                    target.display()
                ))
            })?;
            let link = to.join(link);
            copy_one(&found, &link, self.owners()).map_err(|error| fail(&link, error))?;
        }
        for path in folders.into_iter().rev() {
            let lower = if implied.contains(path) { &below } else { &all };
            let found = lower.follow(path).map_err(|error| fail(to, error))?;
            // Where nothing below is a folder, it is as the layer made it.
            let found = match found.filter(|found| found.entry.is_folder()) {
                Some(found) => Some(found),
                None => all.follow(path).map_err(|error| fail(to, error))?,
            };
            if let Some(found) = found {
                let folder = to.join(path);
                set_attributes(&folder, &found.entry, self.owners())
                    .map_err(|error| fail(&folder, error))?;
            }
        }
        Ok(())
    }
}
