//! Images that an engine has: what they are, removed, run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{NetworkMode, PlatformImage};
use crate::digest::Digest;
use crate::image_ref::{ImageRef, LocalImage};
use crate::platform::Platform;

/// One image in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageSummary {
    /// The image's id: the digest of its config.
    pub id: Digest,
    /// Its names. Empty for an image known by its id alone.
    pub names: Vec<ImageRef>,
    /// When it was made, in seconds since 1970.
    pub created: Option<i64>,
    /// Its size in the engine's store, in bytes.
    pub size: Option<u64>,
}

impl ImageSummary {
    /// Returns a summary of the image `id`.
    #[must_use]
    pub fn new(id: Digest) -> Self {
        Self { id, names: Vec::new(), created: None, size: None }
    }
}

/// What an image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageDetails {
    /// What a list says of it.
    #[serde(flatten)]
    pub summary: ImageSummary,
    /// Names with the manifest digests they were pulled or pushed by.
    pub digests: Vec<ImageRef>,
    /// The platform it is for.
    pub platform: Platform,
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub command: Vec<String>,
    /// `ENV`, as `NAME=VALUE`, in order.
    pub environment: Vec<String>,
    /// `USER`.
    pub user: String,
    /// `WORKDIR`.
    pub working_directory: String,
    /// `LABEL`.
    pub labels: BTreeMap<String, String>,
    /// `EXPOSE`, such as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// `VOLUME`.
    pub volumes: Vec<String>,
    /// `STOPSIGNAL`.
    pub stop_signal: Option<String>,
    /// Digests of the uncompressed layers, lowest first.
    pub layers: Vec<Digest>,
    /// Of an index, the images that it lists; everything else is then told of the one for this machine, or else of the
    /// first. Empty for one image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<PlatformImage>,
}

impl ImageDetails {
    /// Returns details with nothing but a summary and a platform.
    #[must_use]
    pub fn new(summary: ImageSummary, platform: Platform) -> Self {
        Self {
            summary,
            digests: Vec::new(),
            platform,
            entrypoint: Vec::new(),
            command: Vec::new(),
            environment: Vec::new(),
            user: String::new(),
            working_directory: String::new(),
            labels: BTreeMap::new(),
            exposed_ports: Vec::new(),
            volumes: Vec::new(),
            stop_signal: None,
            layers: Vec::new(),
            images: Vec::new(),
        }
    }
}

/// What to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RemoveRequest {
    /// A name loses that name, and the image with its last one; an id loses the image.
    pub image: LocalImage,
    /// Whether an id with several names, or in use by a stopped container, is removed all the same.
    pub force: bool,
}

impl RemoveRequest {
    /// Returns a request to remove `image` unless something else needs it.
    #[must_use]
    pub fn new(image: LocalImage) -> Self {
        Self { image, force: false }
    }
}

/// What a removal came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RemoveOutput {
    /// Names that are gone.
    pub untagged: Vec<ImageRef>,
    /// Ids of images that are gone.
    pub deleted: Vec<Digest>,
}

/// A command to run in an image, in a container that is removed afterwards. What it writes arrives
/// as [`Event::Output`](crate::Event::Output).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunRequest {
    /// The image.
    pub image: LocalImage,
    /// Arguments in place of `CMD`. Empty means the image's own.
    pub arguments: Vec<String>,
    /// A program in place of `ENTRYPOINT`. It takes the image's `CMD` away too.
    pub entrypoint: Option<String>,
    /// Variables beside those of the image.
    pub environment: BTreeMap<String, String>,
    /// The user in place of the image's.
    pub user: Option<String>,
    /// The working directory in place of the image's.
    pub working_directory: Option<String>,
    /// The network.
    pub network: NetworkMode,
}

impl RunRequest {
    /// Returns a request to run `image` as it says itself.
    #[must_use]
    pub fn new(image: LocalImage) -> Self {
        Self {
            image,
            arguments: Vec::new(),
            entrypoint: None,
            environment: BTreeMap::new(),
            user: None,
            working_directory: None,
            network: NetworkMode::default(),
        }
    }
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunOutput {
    /// The exit status of the command; 128 and the signal's number when a signal ended it.
    pub exit_code: i64,
}

impl RunOutput {
    /// Returns the outcome of a run.
    #[must_use]
    pub fn new(exit_code: i64) -> Self {
        Self { exit_code }
    }
}

/// What a prune came to, each thing as people call it, such as "container `boxwright-worker-1f2e`".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PruneOutput {
    /// What is gone.
    pub removed: Vec<String>,
    /// What stayed because a build uses it just now.
    pub in_use: Vec<String>,
}
