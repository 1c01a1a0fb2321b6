//! Images in the store: list, inspect, tag, remove.

use crate::images::StoredImage;
use crate::indexes;
use crate::store::Store;
use boxwright_core::{
    Error, ErrorKind, ImageDetails, ImageRef, ImageSummary, LocalImage, Manifest, Platform,
    RemoveOutput, RemoveRequest, Result,
};

/// Returns what an image in `store` is.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] when there is no such image.
pub async fn inspect(store: &Store, image: &LocalImage) -> Result<ImageDetails> {
    let image = store.image(image).await?;
    let platform = image.config.platform().unwrap_or_else(Platform::of_this_machine);
    let mut details = ImageDetails::new(summary(&image), platform);
    details.images = image.index.as_ref().map(indexes::listed).unwrap_or_default();
    let config = image.config.config;
    details.digests = image.digests;
    details.entrypoint = config.entrypoint.unwrap_or_default();
    details.command = config.cmd.unwrap_or_default();
    details.environment = config.env;
    details.user = config.user;
    details.working_directory = config.working_dir;
    details.labels = config.labels;
    details.exposed_ports = config.exposed_ports.into_keys().collect();
    details.volumes = config.volumes.into_keys().collect();
    details.stop_signal = config.stop_signal;
    details.layers = image.config.rootfs.diff_ids;
    Ok(details)
}

/// Returns the images in `store`, newest first.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] when the store cannot be read.
pub async fn list(store: &Store) -> Result<Vec<ImageSummary>> {
    Ok(store.images().await?.iter().map(summary).collect())
}

fn summary(image: &StoredImage) -> ImageSummary {
    let mut summary = ImageSummary::new(image.id().clone());
    summary.names = image.names.clone();
    summary.created = image.created();
    summary.size = Some(match &image.index {
        Some(index) => index.images.iter().map(|(_, image)| size(image)).sum(),
        None => size(&image.manifest),
    });
    summary
}

fn size(manifest: &Manifest) -> u64 {
    manifest.layers.iter().map(|(layer, _)| layer.size).sum()
}

/// Gives an image another name.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] when there is no such image, [`ErrorKind::InvalidInput`] for a name by digest.
pub async fn tag(store: &Store, image: &LocalImage, name: &ImageRef) -> Result<()> {
    if name.digest().is_some() {
        return Err(Error::new(ErrorKind::InvalidInput, format!("cannot name an image `{name}`"))
            .with_cause("a digest says what an image is, and is no name to give")
            .with_remedy("leave `@sha256:…` out"));
    }
    let image = store.image(image).await?;
    let names = std::slice::from_ref(name);
    match &image.index {
        Some(index) => store.keep_index(index, names),
        None => store.keep(&image.manifest, names),
    }
}

/// Removes a name or an image.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] when there is no such image, [`ErrorKind::Conflict`] when an id has several names.
pub async fn remove(store: &Store, request: &RemoveRequest) -> Result<RemoveOutput> {
    let image = store.image(&request.image).await?;
    let mut output = RemoveOutput::default();
    match &request.image {
        LocalImage::Reference(name) if keeps_a_name(&image, name) => {
            store.untag(name)?;
            output.untagged.push(name.clone());
        }
        LocalImage::Id(_) | LocalImage::IdPrefix(_) if image.names.len() > 1 && !request.force => {
            let message = format!("cannot remove `{}`", request.image);
            return Err(Error::new(ErrorKind::Conflict, message)
                .with_cause(format!("it has {} names", image.names.len()))
                .with_remedy("remove it with `--force`, or its names one by one"));
        }
        _ => {
            store.forget(image.id())?;
            if let Some(index) = &image.index {
                store.forget_nameless(index).await?;
            }
            output.deleted.push(image.id().clone());
            output.untagged = image.names;
        }
    }
    Ok(output)
}

/// Whether the image still has a name when it loses `name`. One by digest counts only where it has no other.
fn keeps_a_name(image: &StoredImage, name: &ImageRef) -> bool {
    let names = if image.names.is_empty() { &image.digests } else { &image.names };
    names.iter().any(|other| other != name)
}
