//! Pushes what is in the store.

use boxwright_core::{ImageRef, Manifest, PushOutput, Result};
use boxwright_image::pack::PackFormat;
use boxwright_registry::Client;

use crate::store::Store;

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
        let packed = self.packed(manifest, format).await?;
        client.push(image, &packed, self.layout()).await
    }
}
