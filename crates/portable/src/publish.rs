//! Writes the config and the manifest of what was built. Its own layers are plain; those of the base are as they came.

use boxwright_core::{Descriptor, Error, ErrorKind, ImageFormat, Manifest, Result};
use boxwright_image::manifest::{ImageManifest, media_type as types};
use serde::Serialize;

use crate::stage::Stage;
use crate::store::Store;

/// Keeps the image of a stage. The media types follow from its config alone: Docker's when it has what Podman
/// drops from OCI images, else the OCI's.
pub(crate) async fn publish(
    store: &Store,
    stage: Stage,
    format: Option<ImageFormat>,
) -> Result<Manifest> {
    let Stage { mut config, layers, .. } = stage;
    config.rootfs.diff_ids = layers.iter().map(|(_, diff_id)| diff_id.clone()).collect();
    let is_docker = match format {
        Some(format) => format == ImageFormat::Docker,
        None => config.needs_docker_format(),
    };
    let (manifest_type, config_type) = match is_docker {
        true => (types::DOCKER_MANIFEST, types::DOCKER_CONFIG),
        false => (types::OCI_MANIFEST, types::OCI_CONFIG),
    };
    let config = store.layout().put(&json(&config)?, config_type).await?;
    let typed = |(layer, diff_id): (Descriptor, _)| {
        let media_type = types::of_layer(&layer.media_type, is_docker).to_owned();
        (Descriptor { media_type, ..layer }, diff_id)
    };
    let layers: Vec<_> = layers.into_iter().map(typed).collect();
    let document = ImageManifest {
        schema_version: 2,
        media_type: Some(manifest_type.to_owned()),
        config: config.clone(),
        layers: layers.iter().map(|(layer, _)| layer.clone()).collect(),
        annotations: std::collections::BTreeMap::new(),
    };
    let descriptor = store.layout().put(&json(&document)?, manifest_type).await?;
    store.note_built(&config.digest, &descriptor.digest)?;
    Ok(Manifest { descriptor, config, layers })
}

/// Writes a document.
pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| {
        Error::new(ErrorKind::Bug, "cannot write the image's config").with_source(error)
    })
}
