//! What layers compressed to, by diff id and recipe: a small file each.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use boxwright_core::{Descriptor, Digest, Result};

use super::PackFormat;
use crate::layout::{Layout, cannot_write, temporary};

/// Where it is kept, beside the blobs.
const FOLDER: &str = "packed";

fn folder(layout: &Layout, format: PackFormat) -> PathBuf {
    layout.folder().join(FOLDER).join(format.recipe())
}

/// Returns what the layer compressed to, if that is known. The blob may be gone.
pub(super) fn recall(layout: &Layout, diff_id: &Digest, format: PackFormat) -> Option<Descriptor> {
    let bytes = fs::read(folder(layout, format).join(diff_id.hex())).ok()?;
    // What cannot be read is not known: it is found out again.
    let known: Descriptor = serde_json::from_slice(&bytes).ok()?;
    (known.media_type == format.media_type()).then_some(known)
}

/// Returns all blobs that layers compressed to, there or not.
pub(super) fn all(layout: &Layout) -> BTreeSet<Digest> {
    let mut all = BTreeSet::new();
    for format in PackFormat::ALL {
        for entry in fs::read_dir(folder(layout, format)).into_iter().flatten().flatten() {
            let known = fs::read(entry.path()).ok();
            let known = known.and_then(|bytes| serde_json::from_slice::<Descriptor>(&bytes).ok());
            all.extend(known.map(|known| known.digest));
        }
    }
    all
}

/// Notes what the layer compressed to.
pub(super) fn remember(
    layout: &Layout,
    diff_id: &Digest,
    format: PackFormat,
    packed: &Descriptor,
) -> Result<()> {
    let folder = folder(layout, format);
    let write = || -> io::Result<()> {
        fs::create_dir_all(&folder)?;
        let mut file = temporary(&layout.ingest())?;
        file.write_all(&serde_json::to_vec(packed)?)?;
        file.persist(folder.join(diff_id.hex()))?;
        Ok(())
    };
    write().map_err(|error| cannot_write(&folder, error))
}
