//! Images on their way: pushed, pulled, exported, imported.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image_ref::{ImageRef, LocalImage};
use crate::platform::Platform;

/// What to push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PushRequest {
    /// The local image. Its registry and repository are the destination;
    /// credentials for them come from the session.
    pub image: ImageRef,
}

impl PushRequest {
    /// Returns a request to push `image` to the place that its name says.
    #[must_use]
    pub fn new(image: ImageRef) -> Self {
        Self { image }
    }
}

/// What a push came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PushOutput {
    /// Where it went.
    pub image: ImageRef,
    /// The manifest's digest, as the registry has it.
    pub digest: Digest,
}

impl PushOutput {
    /// Returns the outcome of a push.
    #[must_use]
    pub fn new(image: ImageRef, digest: Digest) -> Self {
        Self { image, digest }
    }
}

/// What to pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PullRequest {
    /// The image's name, by tag or by digest.
    pub image: ImageRef,
    /// The platform to take from an index. Default: the engine's own.
    pub platform: Option<Platform>,
}

impl PullRequest {
    /// Returns a request to pull `image` for the engine's platform.
    #[must_use]
    pub fn new(image: ImageRef) -> Self {
        Self { image, platform: None }
    }
}

/// What a pull came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PullOutput {
    /// The image's id: the digest of its config.
    pub id: Digest,
    /// The digest that the registry gave for the name, where the engine tells it.
    pub digest: Option<Digest>,
}

impl PullOutput {
    /// Returns the outcome of a pull.
    #[must_use]
    pub fn new(id: Digest, digest: Option<Digest>) -> Self {
        Self { id, digest }
    }
}

/// The format of an image archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveFormat {
    /// A tar of an OCI image layout.
    #[default]
    Oci,
    /// What `docker save` writes, with `manifest.json`.
    Docker,
}

/// What to export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExportRequest {
    /// The image.
    pub image: LocalImage,
    /// The format of the archive.
    pub format: ArchiveFormat,
    /// Where the archive goes. Written beside and renamed, so it is there whole or not at all.
    pub destination: PathBuf,
}

impl ExportRequest {
    /// Returns a request to write `image` to `destination` as an OCI archive.
    #[must_use]
    pub fn new(image: LocalImage, destination: PathBuf) -> Self {
        Self { image, format: ArchiveFormat::default(), destination }
    }
}

/// What to import. Names inside the archive are not applied (threat 43).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportRequest {
    /// An OCI or docker archive, plain or compressed. It must hold one image for the platform.
    pub archive: PathBuf,
    /// The names the image gets.
    pub names: Vec<ImageRef>,
}

impl ImportRequest {
    /// Returns a request to import `archive` under `names`.
    #[must_use]
    pub fn new(archive: PathBuf, names: Vec<ImageRef>) -> Self {
        Self { archive, names }
    }
}

/// What an import came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportOutput {
    /// The image's id: the digest of its config.
    pub id: Digest,
}

impl ImportOutput {
    /// Returns the outcome of an import.
    #[must_use]
    pub fn new(id: Digest) -> Self {
        Self { id }
    }
}
