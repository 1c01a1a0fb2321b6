//! Indexes of a layout: written, and read with all that they list.

use std::collections::BTreeMap;

use boxwright_core::{Descriptor, Digest, Error, ErrorKind, Index, Manifest, Platform, Result};

use crate::layout::Layout;
use crate::manifest::{
    self, DOCUMENT_LIMIT, Document, ImageIndex, IndexEntry, PlatformFields, media_type as types,
};

impl Layout {
    /// Keeps an index of images that are in the layout, in this order. It is Docker's list if all of them are
    /// Docker's, else the OCI's index. The same images give the same digest.
    ///
    /// # Errors
    ///
    /// As [`Layout::put`].
    pub async fn put_index(&self, images: Vec<(Platform, Manifest)>) -> Result<Index> {
        let is_docker =
            images.iter().all(|(_, it)| it.descriptor.media_type == types::DOCKER_MANIFEST);
        let media_type = if is_docker { types::DOCKER_INDEX } else { types::OCI_INDEX };
        let entry = |(platform, image): &(Platform, Manifest)| IndexEntry {
            descriptor: image.descriptor.clone(),
            platform: Some(fields(platform)),
            annotations: BTreeMap::new(),
        };
        let document = ImageIndex {
            schema_version: 2,
            media_type: Some(media_type.to_owned()),
            manifests: images.iter().map(entry).collect(),
            annotations: BTreeMap::new(),
        };
        let bytes = serde_json::to_vec(&document).map_err(|error| {
            Error::new(ErrorKind::Bug, "cannot write the index").with_source(error)
        })?;
        let descriptor = self.put(&bytes, media_type).await?;
        Ok(Index { descriptor, images })
    }

    /// Reads the index `digest`, and the manifests of the images that it lists. Attestations are left out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when the index or a manifest is not there; [`ErrorKind::Protocol`] when it is no index,
    /// or an entry has no platform.
    pub async fn index(&self, digest: &Digest) -> Result<Index> {
        let bytes = self.read(digest, DOCUMENT_LIMIT).await?;
        let wrong = |cause: &str| {
            Error::new(ErrorKind::Protocol, format!("cannot read the index `{digest}`"))
                .with_cause(cause.to_owned())
        };
        let Document::Index(document) = manifest::parse(&bytes, None)? else {
            return Err(wrong("it is the manifest of one image"));
        };
        let mut images = Vec::new();
        for entry in document.manifests.iter().filter(|entry| !entry.is_attestation()) {
            let platform = entry.platform().ok_or_else(|| wrong("an image has no platform"))?;
            images.push((platform, self.manifest(&entry.descriptor.digest).await?));
        }
        let media_type = document.media_type.unwrap_or_else(|| types::OCI_INDEX.to_owned());
        let size = bytes.len() as u64;
        Ok(Index { descriptor: Descriptor { media_type, digest: digest.clone(), size }, images })
    }
}

fn fields(platform: &Platform) -> PlatformFields {
    PlatformFields {
        architecture: platform.architecture().to_owned(),
        os: platform.os().to_owned(),
        variant: platform.variant().map(str::to_owned),
    }
}
