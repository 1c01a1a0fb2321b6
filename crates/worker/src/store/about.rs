//! What is noted about an unpacked layer, beside its files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_image::overlay::Unpacked;
use serde::{Deserialize, Serialize};

use crate::failure::on_path;

/// The file that the note is in.
const FILE: &str = "about.json";

/// What a layer's folder cannot say itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    /// Whether the folder's own mode and owner are those of the root.
    pub(crate) has_root: bool,
    /// Whether nothing of the layers below is seen.
    pub(crate) opaque_root: bool,
    /// Whether a step left it, in canonical form: its tar can be made again.
    pub(crate) canonical: bool,
    /// Folders that are as the layers below have them.
    implied: Vec<Vec<u8>>,
    /// Further names of files of the layers below, each with the name that the file has there.
    lower_links: Vec<(Vec<u8>, Vec<u8>)>,
    /// The size of its files, or of its tar when it is canonical.
    pub(crate) size: u64,
}

impl About {
    pub(crate) fn unpacked(layer: &Unpacked) -> Self {
        let bytes = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        Self {
            has_root: layer.has_root,
            opaque_root: layer.opaque_root,
            canonical: false,
            implied: layer.implied.iter().map(bytes).collect(),
            lower_links: layer.lower_links.iter().map(|(a, b)| (bytes(a), bytes(b))).collect(),
            size: layer.size,
        }
    }

    /// Returns the note about a layer that a step left.
    pub(crate) fn canonical(has_root: bool, size: u64) -> Self {
        Self { has_root, canonical: true, size, ..Self::default() }
    }

    /// Returns whether the folder alone says it all, whatever is below it.
    pub(crate) fn stands_alone(&self) -> bool {
        self.implied.is_empty() && self.lower_links.is_empty()
    }

    pub(crate) fn implied(&self) -> impl Iterator<Item = &Path> {
        self.implied.iter().map(|path| Path::new(OsStr::from_bytes(path)))
    }

    pub(crate) fn lower_links(&self) -> impl Iterator<Item = (&Path, &Path)> {
        let path = |bytes| Path::new(OsStr::from_bytes(bytes));
        self.lower_links.iter().map(move |(link, target)| (path(link), path(target)))
    }

    pub(crate) fn write(&self, layer: &Path) -> Result<()> {
        let path = layer.join(FILE);
        let text = serde_json::to_vec(self).map_err(|error| {
            Error::new(ErrorKind::Bug, "cannot describe a layer").with_source(error)
        })?;
        std::fs::write(&path, text).map_err(|error| on_path("cannot write to", &path, error))
    }

    /// Makes this note, which is in the folder `from`, the one of the layer in `to`.
    pub(crate) fn replace(from: &Path, to: &Path) -> Result<()> {
        let path = to.join(FILE);
        std::fs::rename(from.join(FILE), &path)
            .map_err(|error| on_path("cannot write to", &path, error))
    }

    pub(crate) fn read(layer: &Path) -> Result<Self> {
        let path = layer.join(FILE);
        let text = std::fs::read(&path).map_err(|error| on_path("cannot read", &path, error))?;
        serde_json::from_slice(&text).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("cannot read `{}`", path.display()))
                .with_source(error)
                .with_remedy("remove the worker's store; it is made again from the layers")
        })
    }
}
