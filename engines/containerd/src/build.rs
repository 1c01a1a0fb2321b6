//! Builds with the portable builder, whose steps run in a worker, and publishes the result in containerd.

use async_trait::async_trait;
use boxwright_core::{
    BlobStore as _, BuildOutput, BuildRequest, Error, ErrorKind, ImageRef, ImageStore as _,
    LocalImage, Manifest, Platform, PullPolicy, Result, Session,
};
use boxwright_portable::{Bases, Builder, Store as Built};

use crate::api::Api;
use crate::blobs::Blobs;
use crate::lease::Lease;
use crate::store::{self, Store};
use crate::worker::Worker;
use crate::{documents, records};

pub(crate) async fn build(
    api: &Api,
    store: &Built,
    request: &BuildRequest,
    session: &Session,
) -> Result<BuildOutput> {
    // The names are containerd's to have, once all is there.
    let mut unnamed = request.clone();
    unnamed.tags.clear();
    let (worker, images) = (Worker::new(api), Images { api: api.clone() });
    let builder = Builder::new(store.clone()).with_steps(&worker).with_bases(&images);
    let built = builder.build(&unnamed, session).await;
    let ended = worker.end().await;
    let mut output = built?;
    ended?;
    let manifest = store.built(&output.id).await?.ok_or_else(|| {
        Error::new(ErrorKind::Bug, "the portable builder does not have what it has built")
    })?;
    Store::new(api).publish(&manifest, store.layout(), &request.tags, session).await?;
    output.tags.clone_from(&request.tags);
    Ok(output)
}

/// The images of containerd, as bases of stages.
struct Images {
    api: Api,
}

#[async_trait]
impl Bases for Images {
    async fn bring(
        &self,
        name: &ImageRef,
        platform: &Platform,
        _policy: PullPolicy,
        store: &Built,
        _session: &Session,
    ) -> Result<Option<Manifest>> {
        let lease = Lease::take(&self.api, "base").await?;
        let found = bring(lease.api(), name, platform, store).await;
        lease.finish(found).await
    }
}

async fn bring(
    api: &Api,
    name: &ImageRef,
    platform: &Platform,
    store: &Built,
) -> Result<Option<Manifest>> {
    let image = LocalImage::from(name.clone());
    let found = async {
        let target = records::target(api, &image, "cannot build from it").await?;
        documents::image(api, &target).await
    };
    let found = match found.await {
        Ok(found) if found.config.platform().as_ref() == Some(platform) => found.manifest,
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        // None of that name, of another platform, or not all of it: it is for others to give.
        _ => return Ok(None),
    };
    let (blobs, layout) = (Blobs::new(api), store.layout());
    for blob in store::distinct(&found) {
        if layout.size(&blob.digest).await? == Some(blob.size) {
            continue;
        }
        if blobs.size(&blob.digest).await?.is_none() {
            return Ok(None);
        }
        layout.write(blobs.open(&blob.digest).await?, Some(&blob.digest)).await?;
    }
    Ok(Some(found))
}
