//! The manifest of a packed image.

use boxwright_core::{Descriptor, Error, ErrorKind, Manifest, Result};

use super::PackFormat;
use crate::layout::Layout;
use crate::manifest::{DOCUMENT_LIMIT, Document, ImageManifest, digest_of, media_type as types};

/// Returns whether a layer is not compressed.
pub(super) fn is_plain(layer: &Descriptor) -> bool {
    matches!(layer.media_type.as_str(), types::OCI_LAYER | types::DOCKER_LAYER)
}

pub(super) fn has_plain(manifest: &Manifest) -> bool {
    manifest.layers.iter().any(|(layer, _)| is_plain(layer))
}

/// Keeps the manifest of an image with the layers `packed`.
pub(super) async fn keep(
    layout: &Layout,
    manifest: &Manifest,
    packed: Vec<Descriptor>,
    format: PackFormat,
) -> Result<Manifest> {
    let (document, bytes) = document(layout, manifest, packed, format).await?;
    let media_type = document.media_type.unwrap_or_default();
    let descriptor = layout.put(&bytes, &media_type).await?;
    let diff_ids = manifest.layers.iter().map(|(_, diff_id)| diff_id.clone());
    let layers = document.layers.into_iter().zip(diff_ids).collect();
    Ok(Manifest { descriptor, config: document.config, layers })
}

/// Returns what points at the manifest that [`keep`] would keep.
pub(super) async fn describe(
    layout: &Layout,
    manifest: &Manifest,
    packed: Vec<Descriptor>,
    format: PackFormat,
) -> Result<Descriptor> {
    let (document, bytes) = document(layout, manifest, packed, format).await?;
    let media_type = document.media_type.unwrap_or_default();
    Ok(Descriptor { media_type, digest: digest_of(&bytes), size: bytes.len() as u64 })
}

async fn document(
    layout: &Layout,
    manifest: &Manifest,
    packed: Vec<Descriptor>,
    format: PackFormat,
) -> Result<(ImageManifest, Vec<u8>)> {
    let bytes = layout.read(&manifest.descriptor.digest, DOCUMENT_LIMIT).await?;
    let Document::Manifest(mut document) = crate::manifest::parse(&bytes, None)? else {
        return Err(Error::new(ErrorKind::Protocol, "cannot pack a list of manifests"));
    };
    let is_docker = format != PackFormat::Zstd
        && document.media_type.as_deref() == Some(types::DOCKER_MANIFEST);
    let (manifest_type, config_type) = match is_docker {
        true => (types::DOCKER_MANIFEST, types::DOCKER_CONFIG),
        false => (types::OCI_MANIFEST, types::OCI_CONFIG),
    };
    document.media_type = Some(manifest_type.to_owned());
    document.config.media_type = config_type.to_owned();
    let typed = |layer: Descriptor| {
        let media_type = types::of_layer(&layer.media_type, is_docker).to_owned();
        Descriptor { media_type, ..layer }
    };
    document.layers = packed.into_iter().map(typed).collect();
    let bytes = serde_json::to_vec(&document).map_err(|error| {
        Error::new(ErrorKind::Bug, "cannot write the image's manifest").with_source(error)
    })?;
    Ok((document, bytes))
}
