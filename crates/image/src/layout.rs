//! An OCI image layout: blobs in a folder, by digest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use boxwright_core::{
    BlobStore, ByteStream, Descriptor, Digest, Error, ErrorKind, Manifest, Result,
};

use crate::config::ImageConfig;

/// A folder with blobs by digest. Cheap to clone.
/// Source: OCI image specification 1.1, `image-layout.md`.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: Arc<PathBuf>,
}

impl Layout {
    /// Opens the layout in `folder`, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the folder cannot be made or written.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { folder: Arc::new(folder.into()) })
    }

    /// Returns the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads a whole blob of at most `limit` bytes, verified.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when it is not there, [`ErrorKind::Protocol`] when it is larger or its
    /// bytes are wrong.
    pub async fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let _ = (digest, limit);
        Err(unwritten())
    }

    /// Keeps `bytes`, and returns what points at them as a `media_type`.
    ///
    /// # Errors
    ///
    /// As [`BlobStore::write`].
    pub async fn put(&self, bytes: &[u8], media_type: &str) -> Result<Descriptor> {
        let _ = (bytes, media_type);
        Err(unwritten())
    }

    /// Reads the manifest `digest` and the config it names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when a blob is not there, [`ErrorKind::Protocol`] when it is an index, or
    /// config and manifest disagree.
    pub async fn manifest(&self, digest: &Digest) -> Result<Manifest> {
        let _ = digest;
        Err(unwritten())
    }

    /// Reads the config of an image.
    ///
    /// # Errors
    ///
    /// As [`Layout::read`].
    pub async fn config(&self, manifest: &Manifest) -> Result<ImageConfig> {
        let _ = manifest;
        Err(unwritten())
    }
}

#[async_trait]
impl BlobStore for Layout {
    async fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        let _ = digest;
        Err(unwritten())
    }

    async fn open(&self, digest: &Digest) -> Result<ByteStream> {
        let _ = digest;
        Err(unwritten())
    }

    async fn write(&self, bytes: ByteStream, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        let _ = (bytes, expected);
        Err(unwritten())
    }
}

fn unwritten() -> Error {
    Error::new(ErrorKind::Bug, "the layout is being written")
}
