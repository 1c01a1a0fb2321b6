//! Images to and from archives.

use boxwright_core::{
    ArchiveFormat, Error, ErrorKind, ExportRequest, ImportOutput, ImportRequest, Index, LocalImage,
    Manifest, Platform, Result, Session,
};
use boxwright_image::archive::{self, ArchiveKind, ArchiveOptions, ImageInArchive};
use boxwright_image::pack::PackFormat;

use crate::store::Store;

/// Writes an image of `store` to an archive.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] when there is no such image, else as [`archive::write_file`].
pub async fn export(store: &Store, request: &ExportRequest, session: &Session) -> Result<()> {
    // What is read is not removed meanwhile.
    let _user = store.enter().await?;
    let image = store.image(&request.image).await?;
    match &image.index {
        Some(index) => write_index(store, index, request, session).await,
        None => write(store, &image.manifest, request, session).await,
    }
}

/// Writes an index of `store` where `request` says. A docker archive, which has no place for it, gets the image that
/// stands for it.
pub(crate) async fn write_index(
    store: &Store,
    index: &Index,
    request: &ExportRequest,
    session: &Session,
) -> Result<()> {
    if request.format == ArchiveFormat::Docker
        && let Some(manifest) = index.representative()
    {
        return write(store, manifest, request, session).await;
    }
    let written = archive::write_index_file(
        store.layout(),
        index,
        names(&request.image),
        &request.destination,
    );
    session.cancellable(written).await
}

fn names(image: &LocalImage) -> Vec<String> {
    match image {
        LocalImage::Reference(name) => vec![name.to_string()],
        LocalImage::Id(_) | LocalImage::IdPrefix(_) => Vec::new(),
    }
}

/// Writes the image `manifest` of `store` where `request` says, under the name that it has there.
pub(crate) async fn write(
    store: &Store,
    manifest: &Manifest,
    request: &ExportRequest,
    session: &Session,
) -> Result<()> {
    let (kind, manifest) = match request.format {
        // As a registry has it.
        ArchiveFormat::Oci => {
            let packed = store.packed(manifest, PackFormat::default());
            (ArchiveKind::Oci, session.cancellable(packed).await?)
        }
        ArchiveFormat::Docker => (ArchiveKind::Docker, manifest.clone()),
    };
    let options = ArchiveOptions::new(kind, names(&request.image));
    archive::write_file(store.layout(), &manifest, options, &request.destination).await
}

/// Reads the one image of an archive into `store`.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when it holds not exactly one image for this machine, else as [`archive::read`].
pub async fn import(
    store: &Store,
    request: &ImportRequest,
    session: &Session,
) -> Result<ImportOutput> {
    // What is read is not removed before it has a name.
    let _user = store.enter().await?;
    let read = archive::read(&request.archive, store.layout());
    let manifest = the_one(session.cancellable(read).await?, request)?;
    store.keep(&manifest, &request.names)?;
    Ok(ImportOutput::new(manifest.config.digest))
}

/// Returns the one image of an archive, or the one for this machine.
fn the_one(mut images: Vec<ImageInArchive>, request: &ImportRequest) -> Result<Manifest> {
    if images.len() > 1 {
        let here = Platform::of_this_machine();
        images.retain(|image| image.platform.as_ref() == Some(&here));
    }
    match (images.pop(), images.is_empty()) {
        (Some(image), true) => Ok(image.manifest),
        _ => {
            let shown = request.archive.display();
            Err(Error::new(ErrorKind::InvalidInput, format!("cannot import `{shown}`"))
                .with_cause("it does not hold exactly one image for this machine")
                .with_remedy("export the one that is wanted into an archive of its own"))
        }
    }
}
