//! Ids of images: ours is the config's digest, the daemon's is that only in a graph driver's store.
//!
//! With containerd's store the daemon's id is the digest of a manifest or an index, and no call tells the
//! config's. It is in the manifest, which the beginning of an export mostly holds: the blobs come first, in
//! the order of their digests, and reading stops as soon as the manifest is there.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::Mutex;

use boxwright_core::{ByteStream, Digest, Error, ErrorKind, Platform, Result};
use boxwright_image::manifest::{self, DOCUMENT_LIMIT, Document};
use boxwright_image::pipe;
use boxwright_image::unpack::{Limits, Reader};

/// What is known already: config digests by the daemon's ids. Neither ever changes.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashMap<String, Digest>>);

impl Known {
    /// Returns the config digest of the image that the daemon calls `id`.
    pub(crate) fn get(&self, id: &str) -> Option<Digest> {
        self.lock().get(id).cloned()
    }

    /// Returns what the daemon calls the image whose config digest begins with `prefix`.
    pub(crate) fn find(&self, prefix: &str) -> Option<String> {
        let known = self.lock();
        let found = known.iter().find(|(_, config)| config.as_str().starts_with(prefix));
        found.map(|(id, _)| id.clone())
    }

    /// Keeps that the daemon calls the image with the config `config` `id`.
    pub(crate) fn keep(&self, id: &str, config: Digest) {
        self.lock().insert(id.to_owned(), config);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Digest>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What an archive says of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The digest of its config.
    pub(crate) config: Digest,
    /// What it is for, if an index says so.
    pub(crate) platform: Option<Platform>,
}

/// Finds the image `id`, a manifest or an index, in its archive; of an index, the one for `platform` if there is one.
///
/// # Errors
///
/// [`ErrorKind::Protocol`] when the archive does not hold it.
pub(crate) async fn in_archive(
    archive: ByteStream,
    id: &Digest,
    platform: &Platform,
) -> Result<Found> {
    let (id, platform) = (id.clone(), platform.clone());
    pipe::read_blocking(archive, move |input| search(input, &id, &platform)).await
}

fn search(input: impl Read, id: &Digest, platform: &Platform) -> Result<Found> {
    let mut archive = Reader::new(input, Limits::default());
    let mut documents = BTreeMap::new();
    while let Some(header) = archive.next_entry()? {
        let Ok(hex) = header.path.strip_prefix("blobs/sha256") else { continue };
        let digest = format!("sha256:{}", hex.display()).parse::<Digest>();
        let (Ok(digest), true) = (digest, header.size() <= DOCUMENT_LIMIT) else { continue };
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes).map_err(|error| {
            Error::new(ErrorKind::Protocol, "cannot read the image's archive").with_source(error)
        })?;
        // Layers can be small too; only what begins like JSON can be a manifest.
        if bytes.first() == Some(&b'{') && manifest::digest_of(&bytes) == digest {
            documents.insert(digest, bytes);
            if let Some(found) = resolve(&documents, id, platform) {
                return Ok(found);
            }
        }
    }
    Err(Error::new(ErrorKind::Protocol, format!("cannot find the config of the image `{id}`"))
        .with_cause("the daemon's archive of it has no such manifest"))
}

/// Follows `id` through an index to a manifest and its config.
fn resolve(
    documents: &BTreeMap<Digest, Vec<u8>>,
    id: &Digest,
    platform: &Platform,
) -> Option<Found> {
    match manifest::parse(documents.get(id)?, None).ok()? {
        Document::Manifest(manifest) => {
            Some(Found { config: manifest.config.digest, platform: None })
        }
        Document::Index(index) => {
            let images = || index.manifests.iter().filter(|entry| !entry.is_attestation());
            let ours = images().find(|entry| entry.platform().as_ref() == Some(platform));
            let chosen = ours.or_else(|| images().next())?;
            let bytes = documents.get(&chosen.descriptor.digest)?;
            match manifest::parse(bytes, None).ok()? {
                Document::Manifest(manifest) => {
                    Some(Found { config: manifest.config.digest, platform: chosen.platform() })
                }
                Document::Index(_) => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_image::tar::{Header, Kind, Writer};

    const CONFIG: &str = "sha256:47d2fe67755b961ff64c72e41b00cb098cf6dbf28930654c211db2aad530571a";
    const OTHER: &str = "sha256:0f367dc64b21187c566e0f2de54f3133957497b1da300040a1262b2b28cf071e";

    fn manifest(config: &str) -> Vec<u8> {
        let kind = "application/vnd.oci.image";
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}.manifest.v1+json","config":{{"mediaType":"{kind}.config.v1+json","digest":"{config}","size":2}},"layers":[]}}"#
        )
        .into_bytes()
    }

    fn index(entries: &[(&[u8], &str)]) -> Vec<u8> {
        let kind = "application/vnd.oci.image";
        let entries: Vec<String> = entries
            .iter()
            .map(|(bytes, processor)| {
                let (digest, size) = (manifest::digest_of(bytes), bytes.len());
                format!(r#"{{"mediaType":"{kind}.manifest.v1+json","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"{processor}"}}}}"#)
            })
            .collect();
        let entries = entries.join(",");
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}.index.v1+json","manifests":[{entries}]}}"#
        )
        .into_bytes()
    }

    async fn find(blobs: &[Vec<u8>], id: &[u8], platform: &str) -> Result<Found> {
        let mut tar = Writer::new(Vec::new());
        for blob in blobs {
            let path = format!("blobs/sha256/{}", manifest::digest_of(blob).hex());
            let kind = Kind::File { size: blob.len() as u64 };
            tar.file(&Header::new(path, kind, 0o644), &mut blob.as_slice()).unwrap();
        }
        let archive = std::io::Cursor::new(tar.finish().unwrap());
        let platform = platform.parse().unwrap();
        in_archive(Box::new(archive), &manifest::digest_of(id), &platform).await
    }

    #[tokio::test]
    async fn the_config_is_found_behind_a_manifest_and_behind_an_index() {
        let (ours, other) = (manifest(CONFIG), manifest(OTHER));
        let list = index(&[(&other, "arm64"), (&ours, "amd64")]);
        let blobs = [b"not json".to_vec(), list.clone(), other, ours.clone()];
        let found = find(&blobs, &ours, "linux/amd64").await.unwrap();
        assert_eq!((found.config.as_str(), found.platform), (CONFIG, None));
        for (platform, config) in [("linux/amd64", CONFIG), ("linux/arm64", OTHER)] {
            let found = find(&blobs, &list, platform).await.unwrap();
            assert_eq!(found.config.as_str(), config);
            assert_eq!(found.platform.unwrap().to_string(), platform);
        }
        let found = find(&blobs, &list, "linux/riscv64").await.unwrap();
        assert_eq!(found.platform.unwrap().to_string(), "linux/arm64");
    }

    #[tokio::test]
    async fn an_archive_without_the_manifest_is_an_error() {
        let error = find(&[manifest(OTHER)], &manifest(CONFIG), "linux/amd64").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }

    #[test]
    fn what_is_known_is_found_both_ways() {
        let known = Known::default();
        known.keep("sha256:aaa", CONFIG.parse().unwrap());
        assert_eq!(known.get("sha256:aaa").unwrap().as_str(), CONFIG);
        assert_eq!(known.find("sha256:47d2fe67755b").as_deref(), Some("sha256:aaa"));
        assert_eq!(known.find("sha256:0f"), None);
    }
}
