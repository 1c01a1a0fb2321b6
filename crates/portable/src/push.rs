//! Pushes what is in the store.

use boxwright_core::{ImageRef, Index, Manifest, PushOutput, Result};
use boxwright_image::pack::PackFormat;
use boxwright_image::upkeep;
use boxwright_registry::Client;
use futures_util::future::try_join_all;
use tokio::sync::oneshot;

use crate::images::Named;
use crate::store::Store;

/// The size from which sending a layer while it is compressed saves more than its requests cost.
const WORTH_IT: u64 = 4 << 20;

/// How many compressed bytes of a layer wait to be sent.
const WAITING: usize = 1 << 20;

impl Store {
    /// Pushes an image of this store under the name `image`: one that was built here with its layers
    /// compressed, any other as it came.
    ///
    /// # Errors
    ///
    /// As [`Client::push`] and [`Store::packed`].
    pub async fn push(
        &self,
        client: &Client,
        image: &ImageRef,
        manifest: &Manifest,
        format: PackFormat,
    ) -> Result<PushOutput> {
        let _user = self.enter().await?;
        if self.is_built(manifest) {
            self.send_while_packing(client, image, manifest, format).await?;
        }
        let packed = self.packed(manifest, format).await?;
        self.tell_origins(client, image).await?;
        match client.push(image, &packed, self.layout()).await {
            // It was removed, and is made anew here.
            Err(error) if self.is_built(manifest) && upkeep::damaged(&error).is_some() => {
                let packed = self.packed(manifest, format).await?;
                client.push(image, &packed, self.layout()).await
            }
            pushed => pushed,
        }
    }

    /// Tells the client which other repositories of the registry have which layers. What has a name by digest was pulled
    /// from there, or pushed to it.
    async fn tell_origins(&self, client: &Client, image: &ImageRef) -> Result<()> {
        for Named { name, manifest, .. } in self.all_names()? {
            let is_origin = name.digest().is_some()
                && name.registry() == image.registry()
                && name.repository() != image.repository();
            // One that is gone or damaged is no origin.
            if is_origin && let Ok(manifest) = self.layout().manifest(&manifest).await {
                manifest.layers.iter().for_each(|(layer, _)| client.remember(&name, &layer.digest));
            }
        }
        Ok(())
    }

    /// Sends large layers to a repository that has nothing while they are compressed. Another one may have them: there
    /// each is compressed first, and asked for by its digest.
    async fn send_while_packing(
        &self,
        client: &Client,
        image: &ImageRef,
        manifest: &Manifest,
        format: PackFormat,
    ) -> Result<()> {
        let mut layers = self.packer().unpacked(manifest, format);
        layers.retain(|(plain, _)| plain.size >= WORTH_IT);
        if layers.is_empty() || !client.is_empty(image).await {
            return Ok(());
        }
        let work = layers.iter().map(|layer| async move {
            let (copy, bytes) = tokio::io::duplex(WAITING);
            let (tell, whole) = oneshot::channel();
            let packing = async {
                let packed = self.packer().layer_copied(layer, format, copy).await?;
                // Nobody asks for it any more if the upload has failed.
                let _ = tell.send(packed);
                Ok(())
            };
            let whole = async { whole.await.ok() };
            let sending = client.send_growing(image, &layer.0, Box::new(bytes), whole);
            // A layer that did not get there is sent again by the push, which says why it cannot be.
            tokio::join!(packing, sending).0
        });
        try_join_all(work).await.map(drop)
    }

    /// Pushes an index of this store under the name `image`, after all of its images.
    ///
    /// # Errors
    ///
    /// As [`Client::push_index`].
    pub async fn push_index(
        &self,
        client: &Client,
        image: &ImageRef,
        index: &Index,
    ) -> Result<PushOutput> {
        let _user = self.enter().await?;
        self.tell_origins(client, image).await?;
        client.push_index(image, index, self.layout()).await
    }
}
