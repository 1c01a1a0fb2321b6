//! Manifests and configs of images in the content store.

use boxwright_core::{
    BlobStore as _, Descriptor, Digest, Error, ErrorKind, Manifest, Platform, Result,
};
use boxwright_image::config::ImageConfig;
use boxwright_image::manifest::{DOCUMENT_LIMIT, Document, ImageIndex, ImageManifest, parse};

use crate::api::Api;
use crate::blobs::Blobs;

/// What lists show of an image, without its documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The digest of its config.
    pub(crate) id: Digest,
    /// When it was made, in seconds since 1970.
    pub(crate) created: Option<i64>,
    /// The size of its blobs, in bytes.
    pub(crate) size: u64,
}

/// An image, as its documents have it.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// The manifest, with the digests of the uncompressed layers.
    pub(crate) manifest: Manifest,
    /// The config.
    pub(crate) config: ImageConfig,
}

impl Image {
    fn facts(&self) -> Facts {
        let Manifest { descriptor, config, layers } = &self.manifest;
        let layers = layers.iter().map(|(layer, _)| layer.size);
        Facts {
            id: config.digest.clone(),
            created: created(&self.config),
            size: layers.fold(descriptor.size.saturating_add(config.size), u64::saturating_add),
        }
    }
}

/// Returns when an image was made, in seconds since 1970.
pub(crate) fn created(config: &ImageConfig) -> Option<i64> {
    let text = config.created.as_deref()?;
    text.parse().ok().map(|time: prost_types::Timestamp| time.seconds)
}

/// Reads the image that `target` is; of a list, the one for this machine.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] when a document is not there, or there is none for this machine;
/// [`ErrorKind::Protocol`] when one is broken.
pub(crate) async fn image(api: &Api, target: &Descriptor) -> Result<Image> {
    let blobs = Blobs::new(api);
    let mut descriptor = target.clone();
    let document = loop {
        let bytes = blobs.read(&descriptor.digest, DOCUMENT_LIMIT).await?;
        match parse(&bytes, None)? {
            Document::Manifest(document) => break document,
            Document::Index(index) if descriptor.digest == target.digest => {
                descriptor = choose(&blobs, &index).await?;
            }
            Document::Index(_) => return Err(wrong(&descriptor.digest, "it is a list in a list")),
        }
    };
    let config = blobs.read(&document.config.digest, DOCUMENT_LIMIT).await?;
    let config = ImageConfig::parse(&config)?;
    let image = Image { manifest: combine(descriptor, document, &config)?, config };
    api.note(&target.digest, image.facts());
    Ok(image)
}

/// Returns what a list shows of the image that `target` is.
pub(crate) async fn facts(api: &Api, target: &Descriptor) -> Result<Facts> {
    match api.known(&target.digest) {
        Some(facts) => Ok(facts),
        None => Ok(image(api, target).await?.facts()),
    }
}

async fn choose(blobs: &Blobs, index: &ImageIndex) -> Result<Descriptor> {
    let here = Platform::of_this_machine();
    for entry in index.manifests.iter().filter(|entry| entry.platform().as_ref() == Some(&here)) {
        if blobs.size(&entry.descriptor.digest).await?.is_some() {
            return Ok(entry.descriptor.clone());
        }
    }
    Err(Error::new(ErrorKind::NotFound, "cannot find the image in its list of images")
        .with_cause(format!("containerd has none of them for `{here}`")))
}

/// Joins a manifest with the digests of the uncompressed layers, which the config has.
fn combine(
    descriptor: Descriptor,
    document: ImageManifest,
    config: &ImageConfig,
) -> Result<Manifest> {
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != document.layers.len() {
        let (layers, diff_ids) = (document.layers.len(), diff_ids.len());
        let cause = format!("it has {layers} layers and its config has {diff_ids}");
        return Err(wrong(&descriptor.digest, &cause));
    }
    let layers = document.layers.into_iter().zip(diff_ids.iter().cloned()).collect();
    Ok(Manifest { descriptor, config: document.config, layers })
}

fn wrong(digest: &Digest, cause: &str) -> Error {
    Error::new(ErrorKind::Protocol, format!("cannot read the manifest `{digest}`"))
        .with_cause(cause)
}
