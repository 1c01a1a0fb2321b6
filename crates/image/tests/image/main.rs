//! Images on a real file system, made from layers that the tests describe.

#![expect(clippy::unwrap_used, reason = "a panic is a failed test, with its place")]

mod archive;
mod hostile;
mod layer_format;
mod layout;
mod output;
mod pack;
mod upkeep;
mod view;

use boxwright_core::{Descriptor, Digest, Manifest};
use boxwright_image::layout::Layout;
use boxwright_image::manifest::{digest_of, media_type};
use boxwright_image::tar::{Header, Kind, Writer};
use tempfile::TempDir;

/// A layout in a folder that goes away with it.
struct Store {
    layout: Layout,
    _folder: TempDir,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { layout: Layout::open(folder.path()).unwrap(), _folder: folder }
    }

    /// Makes an image of these layers, each a tar.
    async fn image(&self, layers: &[Vec<u8>]) -> Manifest {
        self.image_with(layers, "{}").await
    }

    /// Makes an image of these layers, whose containers run by the JSON `config`.
    async fn image_with(&self, layers: &[Vec<u8>], config: &str) -> Manifest {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| digest_of(layer)).collect();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{config},
            "rootfs":{{"type":"layers","diff_ids":{}}}}}"#,
            serde_json::to_string(&diff_ids).unwrap()
        );
        let config = self.layout.put(config.as_bytes(), media_type::OCI_CONFIG).await.unwrap();
        let mut descriptors = Vec::new();
        for layer in layers {
            let compressed = gzip(layer);
            descriptors
                .push(self.layout.put(&compressed, media_type::OCI_LAYER_GZIP).await.unwrap());
        }
        let manifest = manifest_json(&config, &descriptors);
        let manifest =
            self.layout.put(manifest.as_bytes(), media_type::OCI_MANIFEST).await.unwrap();
        self.layout.manifest(&manifest.digest).await.unwrap()
    }
}

fn manifest_json(config: &Descriptor, layers: &[Descriptor]) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":{}}}"#,
        media_type::OCI_MANIFEST,
        serde_json::to_string(config).unwrap(),
        serde_json::to_string(layers).unwrap(),
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Makes a tar of these entries; a file's content is what is beside it.
fn tar(entries: &[(Header, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (header, content) in entries {
        writer.file(header, &mut &content[..]).unwrap();
    }
    writer.finish().unwrap()
}

fn file<'c>(path: &str, content: &'c str) -> (Header, &'c [u8]) {
    let size = content.len() as u64;
    (Header::new(path, Kind::File { size }, 0o644), content.as_bytes())
}

fn entry(path: &str, kind: Kind, mode: u32) -> (Header, &'static [u8]) {
    (Header::new(path, kind, mode), b"")
}
