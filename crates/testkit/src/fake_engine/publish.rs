//! The fake engine as the place where images that others built are published.

use async_trait::async_trait;
use boxwright_core::{
    BlobStore, Descriptor, Digest, ImageRef, ImageStore, Manifest, Result, Session,
};

use super::FakeEngine;

#[async_trait]
impl ImageStore for FakeEngine {
    async fn missing(&self, manifest: &Manifest, _session: &Session) -> Result<Vec<Digest>> {
        let mut missing = Vec::new();
        for blob in blobs_of(manifest) {
            if self.store.layout.size(&blob.digest).await?.is_none() {
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
        for digest in self.missing(manifest, session).await? {
            self.store.layout.write(blobs.open(&digest).await?, Some(&digest)).await?;
        }
        let stored = self.store.adopt(manifest.clone()).await?;
        names.iter().for_each(|name| self.store.name(name, stored.id()));
        Ok(())
    }
}

fn blobs_of(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    let layers = manifest.layers.iter().map(|(layer, _)| layer);
    layers.chain([&manifest.config, &manifest.descriptor])
}
