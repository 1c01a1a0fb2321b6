//! Writes an archive: the lists first, so that a reader knows what comes, then each blob once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use boxwright_core::{Descriptor, Digest, Error, ErrorKind, Index, Manifest, Result};

use super::docker::Item;
use super::{ArchiveKind, ArchiveOptions, oci};
use crate::config::ImageConfig;
use crate::layout::Layout;
use crate::manifest::{ImageIndex, IndexEntry, PlatformFields, media_type};
use crate::tar::{Header, Kind, Writer};

/// Everything that an archive is going to hold.
pub(super) struct Plan {
    layout: Layout,
    documents: Vec<(&'static str, Vec<u8>)>,
    blobs: Vec<(Digest, u64)>,
}

impl Plan {
    pub(super) fn new(
        layout: Layout,
        manifest: &Manifest,
        options: &ArchiveOptions,
    ) -> Result<Self> {
        let config = layout.config_blocking(&manifest.config)?;
        let documents = documents(manifest, config, options);
        Self::of(layout, documents, wanted(manifest, options))
    }

    /// Plans an OCI archive whose list has the index as an entry of its own, once for each name.
    pub(super) fn of_index(layout: Layout, index: &Index, names: &[String]) -> Result<Self> {
        let documents = vec![oci_layout(), ("index.json", list(&index.descriptor, names, None))];
        let mut blobs = vec![&index.descriptor.digest];
        for (_, image) in &index.images {
            let layers = image.layers.iter().map(|(layer, _)| layer);
            let parts = [&image.descriptor, &image.config].into_iter().chain(layers);
            blobs.extend(parts.map(|blob| &blob.digest));
        }
        let mut seen = BTreeSet::new();
        blobs.retain(|digest| seen.insert(*digest));
        Self::of(layout, documents, blobs)
    }

    fn of(
        layout: Layout,
        documents: Vec<(&'static str, Vec<u8>)>,
        wanted: Vec<&Digest>,
    ) -> Result<Self> {
        let mut blobs = Vec::new();
        for digest in wanted {
            let size = layout.size_blocking(digest)?.ok_or_else(|| missing(digest))?;
            blobs.push((digest.clone(), size));
        }
        Ok(Self { layout, documents, blobs })
    }

    pub(super) fn write(&self, out: &mut impl Write) -> Result<()> {
        let mut writer = Writer::new(out);
        let fail = crate::write_error;
        for (name, bytes) in &self.documents {
            let header = Header::new(*name, Kind::File { size: bytes.len() as u64 }, 0o644);
            writer.file(&header, &mut &bytes[..]).map_err(fail)?;
        }
        for folder in ["blobs", "blobs/sha256"] {
            writer.header(&Header::new(folder, Kind::Folder, 0o755)).map_err(fail)?;
        }
        for (digest, size) in &self.blobs {
            let header = Header::new(path_of(digest), Kind::File { size: *size }, 0o644);
            writer.file(&header, &mut self.layout.open_blocking(digest)?).map_err(fail)?;
        }
        writer.finish().map_err(fail)?;
        Ok(())
    }
}

/// Returns the lists that come first.
pub(super) fn documents(
    manifest: &Manifest,
    config: ImageConfig,
    options: &ArchiveOptions,
) -> Vec<(&'static str, Vec<u8>)> {
    let mut documents = Vec::new();
    if options.kind != ArchiveKind::Docker {
        let ImageConfig { architecture, os, variant, .. } = config;
        let platform = PlatformFields { architecture, os, variant };
        // Podman refuses a combined archive whose index has several entries.
        let several = options.kind == ArchiveKind::Oci;
        let most = if several { options.names.len() } else { options.names.len().min(1) };
        documents.push(oci_layout());
        let names = &options.names[..most];
        documents.push(("index.json", list(&manifest.descriptor, names, Some(&platform))));
    }
    if options.kind != ArchiveKind::Oci {
        documents.push(("manifest.json", manifest_json(manifest, &options.names)));
    }
    documents
}

/// Returns the blobs that follow, each once.
pub(super) fn wanted<'m>(manifest: &'m Manifest, options: &ArchiveOptions) -> Vec<&'m Digest> {
    let layers = manifest.layers.iter().map(|(layer, _)| layer);
    let own = (options.kind != ArchiveKind::Docker).then_some(&manifest.descriptor);
    let mut seen = BTreeSet::new();
    let all = own.into_iter().chain([&manifest.config]).chain(layers).map(|blob| &blob.digest);
    all.filter(|digest| !options.without.contains(digest) && seen.insert(*digest)).collect()
}

pub(super) fn path_of(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

fn oci_layout() -> (&'static str, Vec<u8>) {
    ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())
}

/// Returns the list of an OCI archive: `what`, once for each name.
fn list(what: &Descriptor, names: &[String], platform: Option<&PlatformFields>) -> Vec<u8> {
    let entry = |name: Option<&String>| IndexEntry {
        descriptor: what.clone(),
        platform: platform.cloned(),
        annotations: name
            .map(|name| {
                BTreeMap::from([oci::NAME, oci::REF_NAME].map(|key| (key.to_owned(), name.clone())))
            })
            .unwrap_or_default(),
    };
    let manifests = match names {
        [] => vec![entry(None)],
        names => names.iter().map(|name| entry(Some(name))).collect(),
    };
    let index = ImageIndex {
        schema_version: 2,
        media_type: Some(media_type::OCI_INDEX.to_owned()),
        manifests,
        annotations: BTreeMap::new(),
    };
    serde_json::to_vec(&index).expect("an index is made of texts and numbers")
}

fn manifest_json(manifest: &Manifest, names: &[String]) -> Vec<u8> {
    let item = Item {
        config: path_of(&manifest.config.digest),
        repo_tags: Some(names.to_vec()),
        layers: Some(manifest.layers.iter().map(|(layer, _)| path_of(&layer.digest)).collect()),
    };
    serde_json::to_vec(&[item]).expect("a list of paths is made of texts")
}

pub(super) fn missing(digest: &Digest) -> Error {
    Error::new(ErrorKind::NotFound, "cannot write the archive")
        .with_cause(format!("the store lacks the blob `{digest}`"))
}
