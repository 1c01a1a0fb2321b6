//! Manifests and indexes, as they are on the wire.

use std::collections::BTreeMap;

use boxwright_core::{Descriptor, Digest, Platform, Result};
use serde::{Deserialize, Serialize};

/// The largest manifest, index or config that is read: 4 MiB.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

/// Media types, of the OCI and of Docker.
pub mod media_type {
    /// An OCI manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An OCI config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// An OCI layer, not compressed.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// An OCI layer, compressed with gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// An OCI layer, compressed with zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// A Docker manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker index.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A Docker config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// A Docker layer, not compressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// A Docker layer, compressed with gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

    /// Returns what a layer is called in a manifest of Docker's, or else of the OCI's. Docker has no name of its
    /// own for zstd.
    #[must_use]
    pub fn of_layer(media_type: &str, is_docker: bool) -> &str {
        match (media_type, is_docker) {
            (OCI_LAYER, true) => DOCKER_LAYER,
            (OCI_LAYER_GZIP, true) => DOCKER_LAYER_GZIP,
            (DOCKER_LAYER, false) => OCI_LAYER,
            (DOCKER_LAYER_GZIP, false) => OCI_LAYER_GZIP,
            (other, _) => other,
        }
    }
}

/// A manifest or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// The manifest of one image.
    Manifest(ImageManifest),
    /// A list of manifests.
    Index(ImageIndex),
}

/// The manifest of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// What it is. Old OCI manifests leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests, one for each platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// Always 2.
    pub schema_version: u32,
    /// What it is. Old OCI indexes leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests.
    pub manifests: Vec<IndexEntry>,
    /// Remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// One manifest in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// The manifest.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformFields>,
    /// Remarks, such as the image's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A platform as an index has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformFields {
    /// The processor.
    #[serde(default)]
    pub architecture: String,
    /// The system.
    #[serde(default)]
    pub os: String,
    /// The variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl IndexEntry {
    /// Returns the platform it is for, unless it has none or is no image at all, as attestations
    /// are (`unknown/unknown`).
    #[must_use]
    pub fn platform(&self) -> Option<Platform> {
        let fields = self.platform.as_ref()?;
        let known = !fields.os.is_empty() && fields.os != "unknown";
        (known && !self.is_attestation())
            .then(|| Platform::new(&fields.os, &fields.architecture, fields.variant.as_deref()))
    }

    /// Returns whether it is a remark about another image and no image itself.
    #[must_use]
    pub fn is_attestation(&self) -> bool {
        self.annotations.contains_key("vnd.docker.reference.type")
            || self
                .platform
                .as_ref()
                .is_some_and(|p| p.os == "unknown" && p.architecture == "unknown")
    }
}

/// Reads a manifest or an index. What `media_type` says (a `Content-Type` or a descriptor's field),
/// what the document says and which fields it has must agree.
///
/// # Errors
///
/// [`ErrorKind::Protocol`](boxwright_core::ErrorKind::Protocol) when they do not, or it is no such document.
pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Document> {
    crate::document::parse(bytes, media_type)
}

/// Returns the digest of `bytes`.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::from_sha256(sha2::Sha256::digest(bytes).into())
}
