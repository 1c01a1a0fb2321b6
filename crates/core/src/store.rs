//! Where blobs are kept, and where finished images are published.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Result;
use crate::image_ref::ImageRef;
use crate::platform::Platform;
use crate::session::{ByteStream, Session};

/// Content by digest. `boxwright-image` implements it on an OCI image layout.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Returns the size of a blob in bytes, or `None` if it is not there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the store cannot be read.
    async fn size(&self, digest: &Digest) -> Result<Option<u64>>;

    /// Opens a blob. Its bytes are verified while they are read: the read that meets the end of a
    /// blob with another digest fails.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when it is not there.
    async fn open(&self, digest: &Digest) -> Result<ByteStream>;

    /// Keeps all that `bytes` gives, under the digest it has. With `expected`, another digest is an
    /// error and nothing is kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol) for another digest, [`ErrorKind::Exhausted`](crate::ErrorKind::Exhausted) for a full disk.
    async fn write(&self, bytes: ByteStream, expected: Option<&Digest>) -> Result<(Digest, u64)>;
}

/// Where an engine keeps images, for results of the portable builder.
#[async_trait]
pub trait ImageStore: Send + Sync {
    /// Returns which blobs of `manifest` the engine lacks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the engine is gone.
    async fn missing(&self, manifest: &Manifest, session: &Session) -> Result<Vec<Digest>>;

    /// Makes the image known to the engine under `names`. Only what is missing crosses.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Exhausted`](crate::ErrorKind::Exhausted) when the engine's disk is full; no name then points at it.
    async fn publish(
        &self,
        manifest: &Manifest,
        blobs: &dyn BlobStore,
        names: &[ImageRef],
        session: &Session,
    ) -> Result<()>;
}

/// What points at a blob. Source: OCI image specification 1.1, `descriptor.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// The manifest of one image, with the digests that engines know its layers by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The manifest itself.
    pub descriptor: Descriptor,
    /// The config; its digest is the image's id.
    pub config: Descriptor,
    /// The layers, lowest first, each with the digest of its uncompressed tar.
    pub layers: Vec<(Descriptor, Digest)>,
}

/// An index: the images of one name, one for each platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The index itself; its digest is what the index is known by.
    pub descriptor: Descriptor,
    /// The images, in its order.
    pub images: Vec<(Platform, Manifest)>,
}

impl Index {
    /// Returns the image for `platform`, if it has one.
    #[must_use]
    pub fn image_for(&self, platform: &Platform) -> Option<&Manifest> {
        self.images.iter().find(|(of, _)| of == platform).map(|(_, image)| image)
    }

    /// Returns the image for this machine, or else the first: what stands for the index where there is room for one
    /// image.
    #[must_use]
    pub fn representative(&self) -> Option<&Manifest> {
        let here = self.image_for(&Platform::of_this_machine());
        here.or_else(|| self.images.first().map(|(_, image)| image))
    }

    /// Returns whether it lists the image with this id.
    #[must_use]
    pub fn lists(&self, id: &Digest) -> bool {
        self.images.iter().any(|(_, image)| image.config.digest == *id)
    }
}
