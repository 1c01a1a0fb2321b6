//! Names for a finished image: all of them, or none.

use boxwright_core::{Digest, ImageRef, LocalImage, Result};

use crate::api::Api;
use crate::images;

/// Gives the image `id` all of `names`. When one cannot be given, those before it are taken back, and what they
/// pointed at before gets them again.
pub(crate) async fn apply(api: &Api, id: &Digest, names: &[ImageRef]) -> Result<()> {
    let image = LocalImage::from(id.clone());
    let mut done: Vec<(&ImageRef, Option<Digest>)> = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let given = async {
            // The service adds an image's size up before it tells anything, so the last one, which nothing comes after
            // that could fail, is not asked for.
            let before = match number + 1 < names.len() {
                true => images::find(api, &LocalImage::from(name.clone())).await?,
                false => None,
            };
            images::tag(api, &image, name).await?;
            Ok(before)
        };
        match given.await {
            Ok(before) => done.push((name, before)),
            Err(error) => {
                for (name, before) in done.into_iter().rev() {
                    // The first failure is what counts; what cannot be undone has the same cause.
                    let _ = match before {
                        Some(before) => images::tag(api, &before.into(), name).await,
                        None => images::untag(api, name).await,
                    };
                }
                return Err(error);
            }
        }
    }
    Ok(())
}
