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

/// Finds the config's digest of the image `id`, a manifest or an index, in its archive.
///
/// # Errors
///
/// [`ErrorKind::Protocol`] when the archive does not hold it.
pub(crate) async fn config_in_archive(
    archive: ByteStream,
    id: &Digest,
    platform: &Platform,
) -> Result<Digest> {
    let (id, platform) = (id.clone(), platform.clone());
    pipe::read_blocking(archive, move |input| search(input, &id, &platform)).await
}

fn search(input: impl Read, id: &Digest, platform: &Platform) -> Result<Digest> {
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
            if let Some(config) = resolve(&documents, id, platform) {
                return Ok(config);
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
) -> Option<Digest> {
    match manifest::parse(documents.get(id)?, None).ok()? {
        Document::Manifest(manifest) => Some(manifest.config.digest),
        Document::Index(index) => {
            let images = || index.manifests.iter().filter(|entry| !entry.is_attestation());
            let ours = images().find(|entry| entry.platform().as_ref() == Some(platform));
            let chosen = ours.or_else(|| images().next())?;
            let bytes = documents.get(&chosen.descriptor.digest)?;
            match manifest::parse(bytes, None).ok()? {
                Document::Manifest(manifest) => Some(manifest.config.digest),
                Document::Index(_) => None,
            }
        }
    }
}
