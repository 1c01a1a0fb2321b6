//! The images that a case built, by which columns are compared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_core::{BuildOutput, Digest, Instance, Manifest, Result};
use boxwright_engines::store::Store;
use boxwright_image::pack::PackFormat;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// What one build of a case made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The image's id: the digest of its config.
    pub id: Digest,
    /// The digest of the manifest that a push gives to a registry. `None` where only the push tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
}

/// The store that portable builds of one column go through.
#[derive(Clone, Debug)]
pub struct OwnStore {
    folder: PathBuf,
    /// Removes it with the last who uses it.
    _own: Arc<TempDir>,
}

impl OwnStore {
    /// Returns the store in `own`, or that of an instance which is itself a store.
    pub(crate) fn new(instance: &Instance, own: TempDir) -> Self {
        let endpoint = Path::new(&instance.endpoint);
        let folder = if endpoint.is_absolute() && !is_socket(endpoint) {
            endpoint.to_owned()
        } else {
            own.path().to_owned()
        };
        Self { folder, _own: Arc::new(own) }
    }

    /// Returns an image that was built through it, as a registry gets it, and the store that has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when the store cannot be read or written.
    pub(crate) async fn image(&self, id: &Digest) -> Result<Option<(Store, Manifest)>> {
        let store = Store::open(&self.folder)?;
        let Some(manifest) = store.built(id).await? else { return Ok(None) };
        let packed = store.packed(&manifest, PackFormat::default()).await?;
        Ok(Some((store, packed)))
    }

    /// Returns what a build made. The digest is that of the compressed image, which is what a push sends.
    pub(crate) async fn made(&self, output: &BuildOutput) -> Made {
        if !output.images.is_empty() {
            // An index lists packed images already: its digest is that of a registry.
            return Made { id: output.id.clone(), digest: output.digest.clone() };
        }
        let digest = match self.image(&output.id).await {
            Ok(image) => image.map(|(_, manifest)| manifest.descriptor.digest),
            // The comparison says that it is not known.
            Err(_) => None,
        };
        Made { id: output.id.clone(), digest }
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    path.metadata().is_ok_and(|data| data.file_type().is_socket())
}
