//! Finds the images of a docker archive, by its `manifest.json`.

use std::io;

use boxwright_core::{Descriptor, Digest, Result};
use serde::{Deserialize, Serialize};

use super::ImageInArchive;
use super::read::{Contents, not_an_archive};
use crate::config::ImageConfig;
use crate::decompress::{Compression, decompress};
use crate::layout::Layout;
use crate::manifest::{DOCUMENT_LIMIT, ImageManifest, media_type};
use crate::tar::Limits;
use crate::verify::Verified;

/// One image in `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item {
    pub(super) config: String,
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    #[serde(default)]
    pub(super) layers: Option<Vec<String>>,
}

fn items(manifest: &[u8]) -> Result<Vec<Item>> {
    serde_json::from_slice(manifest)
        .map_err(|error| not_an_archive(format!("its `manifest.json` is none: {error}")))
}

pub(super) fn images(
    manifest: &[u8],
    contents: &Contents,
    layout: &Layout,
) -> Result<Vec<ImageInArchive>> {
    items(manifest)?.into_iter().map(|item| image(item, contents, layout)).collect()
}

/// Adds the names in `manifest.json` to images that the index has.
pub(super) fn add_names(
    manifest: &[u8],
    contents: &Contents,
    images: &mut [ImageInArchive],
) -> Result<()> {
    for item in items(manifest)? {
        let config = contents.blob(&item.config).map(|(digest, _)| digest);
        for image in images.iter_mut().filter(|i| Some(&i.manifest.config.digest) == config) {
            image.names.extend(item.repo_tags.iter().flatten().cloned());
        }
    }
    Ok(())
}

fn image(item: Item, contents: &Contents, layout: &Layout) -> Result<ImageInArchive> {
    let lacks = |path: &str| not_an_archive(format!("it lacks `{path}`"));
    let (digest, size) = contents.blob(&item.config).ok_or_else(|| lacks(&item.config))?.clone();
    let config = ImageConfig::parse(&layout.read_blocking(&digest, DOCUMENT_LIMIT)?)?;
    let paths = item.layers.unwrap_or_default();
    let diff_ids = &config.rootfs.diff_ids;
    if paths.len() != diff_ids.len() {
        let (layers, diff_ids) = (paths.len(), diff_ids.len());
        let cause = format!("it has {layers} layers for a config with {diff_ids}");
        return Err(not_an_archive(cause));
    }
    let types = if config.needs_docker_format() { &DOCKER } else { &OCI };
    let mut layers = Vec::with_capacity(paths.len());
    for (path, diff_id) in paths.iter().zip(diff_ids) {
        let (digest, size) = contents.blob(path).ok_or_else(|| lacks(path))?.clone();
        let compression = check_diff_id(layout, &digest, diff_id)?;
        let media_type = types.layer(compression).ok_or_else(|| {
            not_an_archive(format!("its layer `{path}` is compressed with {compression}"))
        })?;
        layers.push(Descriptor { media_type: media_type.to_owned(), digest, size });
    }
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(types.manifest.to_owned()),
        config: Descriptor { media_type: types.config.to_owned(), digest, size },
        layers,
        annotations: Default::default(),
    };
    let bytes = serde_json::to_vec(&manifest).expect("a manifest is made of texts and numbers");
    let (digest, _) = layout.write_blocking(&mut &bytes[..], None)?;
    let names = item.repo_tags.unwrap_or_default();
    let platform = config.platform();
    Ok(ImageInArchive { manifest: layout.manifest_blocking(&digest)?, platform, names })
}

/// Checks that a layer is the one that the config means, and returns how it is compressed.
fn check_diff_id(layout: &Layout, digest: &Digest, diff_id: &Digest) -> Result<Compression> {
    if digest == diff_id {
        return Ok(Compression::None);
    }
    let (compression, plain) = decompress(layout.open_blocking(digest)?, &Limits::default())?;
    let mut plain = Verified::new(plain, diff_id.clone());
    io::copy(&mut plain, &mut io::sink()).map_err(crate::read_error)?;
    // Another algorithm gives another digest of the same bytes.
    debug_assert!(compression != Compression::None || diff_id.algorithm() != digest.algorithm());
    Ok(compression)
}

/// The media types of one format.
struct Types {
    manifest: &'static str,
    config: &'static str,
    plain: &'static str,
    gzip: &'static str,
    zstd: &'static str,
}

const OCI: Types = Types {
    manifest: media_type::OCI_MANIFEST,
    config: media_type::OCI_CONFIG,
    plain: media_type::OCI_LAYER,
    gzip: media_type::OCI_LAYER_GZIP,
    zstd: media_type::OCI_LAYER_ZSTD,
};

const DOCKER: Types = Types {
    manifest: media_type::DOCKER_MANIFEST,
    config: media_type::DOCKER_CONFIG,
    plain: media_type::DOCKER_LAYER,
    gzip: media_type::DOCKER_LAYER_GZIP,
    zstd: "application/vnd.docker.image.rootfs.diff.tar.zstd",
};

impl Types {
    fn layer(&self, compression: Compression) -> Option<&'static str> {
        match compression {
            Compression::None => Some(self.plain),
            Compression::Gzip => Some(self.gzip),
            Compression::Zstd => Some(self.zstd),
            Compression::Bzip2 | Compression::Xz => None,
        }
    }
}
