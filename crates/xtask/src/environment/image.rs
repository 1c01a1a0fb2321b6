//! Images made here, and how they get into a registry.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::http::{self, Answer, Request};
use crate::problem::{Explain, Problem, Result};

/// When everything in the images was last changed, so that equal programs are equal images.
pub(crate) const TIME: u64 = 1_700_000_000;
/// [`TIME`], as configs have it.
const CREATED: &str = "2023-11-14T22:13:20Z";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A layer, compressed.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) blob: Vec<u8>,
    /// The digest of what is compressed.
    pub(crate) diff_id: String,
}

impl Layer {
    /// Compresses a tar.
    pub(crate) fn of_tar(tar: &[u8]) -> Result<Self> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let compressed = gzip.write_all(tar).and_then(|()| gzip.finish());
        let blob = compressed.explain(|| "cannot compress an image".to_owned())?;
        Ok(Self { blob, diff_id: digest(tar) })
    }
}

/// An image for the processor of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// What it was made of, for its history.
    pub(crate) source: &'static str,
    pub(crate) command: &'static str,
    pub(crate) layers: Vec<Layer>,
}

impl Image {
    /// Sends the image to the registry at `address`, and returns its name.
    pub(crate) fn push(&self, address: &str, repository: &str, tag: &str) -> Result<String> {
        let registry = Registry { address, repository };
        let manifest = self.upload(&registry, architecture())?;
        registry.put_manifest(tag, MANIFEST, &manifest)?;
        Ok(format!("{address}/{repository}:{tag}"))
    }

    /// Sends an index of the image and of one with the same files that says it is for another processor.
    pub(crate) fn push_index(&self, address: &str, repository: &str, tag: &str) -> Result<String> {
        let registry = Registry { address, repository };
        let other = if architecture() == "arm64" { "amd64" } else { "arm64" };
        let mut manifests = Vec::new();
        for architecture in [architecture(), other] {
            let manifest = self.upload(&registry, architecture)?;
            registry.put_manifest(&digest(manifest.as_bytes()), MANIFEST, &manifest)?;
            let mut descriptor = descriptor(MANIFEST, manifest.as_bytes());
            descriptor["platform"] = json!({ "architecture": architecture, "os": "linux" });
            manifests.push(descriptor);
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        registry.put_manifest(tag, INDEX, &index.to_string())?;
        Ok(format!("{address}/{repository}:{tag}"))
    }

    /// Sends layers and config, and returns the manifest.
    fn upload(&self, registry: &Registry<'_>, architecture: &str) -> Result<String> {
        let mut layers = Vec::new();
        for layer in &self.layers {
            registry.put_blob(&layer.blob)?;
            layers.push(descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer.blob));
        }
        let diff_ids: Vec<&str> = self.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let history = json!({ "created": CREATED, "created_by": self.source });
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "created": CREATED,
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Cmd": [self.command],
            },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": vec![history; diff_ids.len()],
        })
        .to_string();
        registry.put_blob(config.as_bytes())?;
        Ok(json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
            "layers": layers,
        })
        .to_string())
    }
}

/// A repository of a registry that everyone may push to.
struct Registry<'a> {
    address: &'a str,
    repository: &'a str,
}

impl Registry<'_> {
    fn put_blob(&self, blob: &[u8]) -> Result<()> {
        let digest = digest(blob);
        let target = format!("/v2/{}/blobs/{digest}", self.repository);
        let known = Request { method: "HEAD", target: &target, content_type: None, body: b"" };
        if self.ask(&known)?.status == 200 {
            return Ok(());
        }
        let target = format!("/v2/{}/blobs/uploads/", self.repository);
        let start = Request { method: "POST", target: &target, content_type: None, body: b"" };
        let answer = self.send(&start, 202)?;
        let place = answer.header("location").unwrap_or_default();
        // It may come with scheme and host.
        let place = place.find("/v2/").map_or(place, |start| &place[start..]);
        let separator = if place.contains('?') { '&' } else { '?' };
        let target = format!("{place}{separator}digest={digest}");
        let content_type = Some("application/octet-stream");
        self.send(&Request { method: "PUT", target: &target, content_type, body: blob }, 201)?;
        Ok(())
    }

    fn put_manifest(&self, name: &str, content_type: &str, manifest: &str) -> Result<()> {
        let target = format!("/v2/{}/manifests/{name}", self.repository);
        let (content_type, body) = (Some(content_type), manifest.as_bytes());
        self.send(&Request { method: "PUT", target: &target, content_type, body }, 201)?;
        Ok(())
    }

    fn ask(&self, request: &Request<'_>) -> Result<Answer> {
        http::over_tcp(self.address, request).explain(|| self.message())
    }

    fn send(&self, request: &Request<'_>, expected: u16) -> Result<Answer> {
        let answer = self.ask(request)?;
        if answer.status == expected {
            return Ok(answer);
        }
        Err(Problem::new(self.message())
            .cause(format!("{} {} answered {}", request.method, request.target, answer.status))
            .cause(String::from_utf8_lossy(&answer.body)))
    }

    fn message(&self) -> String {
        format!("cannot push `{}` to {}", self.repository, self.address)
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

/// Returns the digest of `bytes`, with the name of its kind.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Returns this machine's architecture in the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A layer being written: everything belongs to root, and has the same time.
pub(crate) struct Files(Builder<Vec<u8>>);

impl Files {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(crate) fn folder(&mut self, path: &str, mode: u32) -> std::io::Result<()> {
        self.0.append_data(&mut header(EntryType::Directory, mode, 0), path, &b""[..])
    }

    pub(crate) fn file(
        &mut self,
        path: &str,
        mode: u32,
        content: impl AsRef<[u8]>,
    ) -> std::io::Result<()> {
        let content = content.as_ref();
        let mut header = header(EntryType::Regular, mode, content.len() as u64);
        self.0.append_data(&mut header, path, content)
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) -> std::io::Result<()> {
        self.0.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)
    }

    /// Gives a file that was written a further name.
    pub(crate) fn hard_link(&mut self, path: &str, file: &str, mode: u32) -> std::io::Result<()> {
        self.0.append_link(&mut header(EntryType::Link, mode, 0), path, file)
    }

    pub(crate) fn finish(self) -> std::io::Result<Vec<u8>> {
        self.0.into_inner()
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(TIME);
    header.set_size(size);
    header
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    /// What a test looks at in an entry of a tar.
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) struct Seen {
        pub(crate) mode: u32,
        pub(crate) link: Option<String>,
        pub(crate) text: String,
    }

    /// Lists the entries of a tar.
    pub(crate) fn list(tar: &[u8]) -> BTreeMap<String, Seen> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let link = entry.link_name().unwrap().map(|link| link.display().to_string());
            let mode = entry.header().mode().unwrap();
            let path = entry.path().unwrap().display().to_string();
            (path, Seen { mode, link, text: String::from_utf8_lossy(&bytes).into_owned() })
        });
        entries.collect()
    }
}
