//! Makes an image known to containerd: its blobs, what holds them, its snapshots, its names.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use boxwright_core::{
    BlobStore, Descriptor, Digest, Event, ImageRef, ImageStore, Manifest, Result, Session,
};
use boxwright_image::manifest::{DOCUMENT_LIMIT, Document, parse};

use crate::api::{Api, Collection};
use crate::blobs::Blobs;
use crate::lease::Lease;
use crate::records::{Record, name_of_id};
use crate::unpack::unpack;
use crate::{errors, labels};

/// containerd as the place where finished images are published.
#[derive(Clone)]
pub(crate) struct Store {
    api: Api,
}

impl Store {
    pub(crate) fn new(api: &Api) -> Self {
        Self { api: api.clone() }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.api).finish()
    }
}

#[async_trait]
impl ImageStore for Store {
    async fn missing(&self, manifest: &Manifest, _session: &Session) -> Result<Vec<Digest>> {
        let blobs = Blobs::new(&self.api);
        let mut missing = Vec::new();
        for blob in distinct(manifest) {
            if blobs.size(&blob.digest).await?.is_none() {
                missing.push(blob.digest.clone());
            }
        }
        Ok(missing)
    }

    async fn publish(
        &self,
        manifest: &Manifest,
        blobs: &dyn BlobStore,
        names: &[ImageRef],
        session: &Session,
    ) -> Result<()> {
        let lease = Lease::take(&self.api, "publish").await?;
        let work = async {
            bring(lease.api(), manifest, blobs, session).await?;
            complete(lease.api(), manifest, names).await
        };
        let result = session.cancellable(work).await;
        lease.finish(result).await
    }
}

/// Returns the blobs of an image, each once, the manifest last.
pub(crate) fn distinct(manifest: &Manifest) -> Vec<&Descriptor> {
    let mut seen = BTreeSet::new();
    let layers = manifest.layers.iter().map(|(layer, _)| layer);
    let all = layers.chain([&manifest.config, &manifest.descriptor]);
    all.filter(|blob| seen.insert(&blob.digest)).collect()
}

/// Copies the blobs that containerd lacks.
async fn bring(
    api: &Api,
    manifest: &Manifest,
    blobs: &dyn BlobStore,
    session: &Session,
) -> Result<()> {
    let own = Blobs::new(api);
    for blob in distinct(manifest) {
        let is_there = own.size(&blob.digest).await?.is_some();
        let status = if is_there { "already there" } else { "publishing" };
        let event = Event::Transfer {
            item: blob.digest.to_string(),
            status: status.to_owned(),
            current: is_there.then_some(blob.size),
            total: Some(blob.size),
        };
        session.events.emit(event).await;
        if !is_there {
            own.write(blobs.open(&blob.digest).await?, Some(&blob.digest)).await?;
        }
    }
    Ok(())
}

/// Unpacks an image whose blobs are there, and gives it its names, all or none; its id, if there are none.
pub(crate) async fn complete(api: &Api, manifest: &Manifest, names: &[ImageRef]) -> Result<()> {
    let chain = unpack(api, &manifest.layers).await?;
    if let Some(chain) = chain {
        let labels = labels::of_config(api.snapshotter(), &chain);
        api.label_blob(&manifest.config.digest, labels).await?;
    }
    let bytes = Blobs::new(api).read(&manifest.descriptor.digest, DOCUMENT_LIMIT).await?;
    let Document::Manifest(document) = parse(&bytes, None)? else {
        return Err(errors::incomplete("manifest"));
    };
    api.label_blob(&manifest.descriptor.digest, labels::of_manifest(&document)).await?;
    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        names.push(name_of_id(&manifest.config.digest));
    }
    name_all(api, &names, &manifest.descriptor).await
}

/// Makes all names point at `target`. After a failure they point at what they did before.
async fn name_all(api: &Api, names: &[String], target: &Descriptor) -> Result<()> {
    let mut before: Vec<(&str, Option<Descriptor>)> = Vec::new();
    for name in names {
        let old = api.image_record(name).await?.and_then(Record::read);
        before.push((name, old.map(|record| record.target)));
        if let Err(error) = api.name_image(name, target).await {
            for (name, old) in before {
                // The error that is told is the first one.
                let _ = match old {
                    Some(old) => api.name_image(name, &old).await,
                    None => api.unname_image(name, Collection::Later).await.map(drop),
                };
            }
            return Err(error);
        }
    }
    Ok(())
}
