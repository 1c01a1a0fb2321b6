//! Images to and from archives, by way of a temporary layout.

use boxwright_core::{
    ArchiveFormat, BlobStore as _, Error, ErrorKind, ExportRequest, ImageStore as _, ImportOutput,
    ImportRequest, LocalImage, Platform, Result, Session,
};
use boxwright_image::archive::{ArchiveKind, ArchiveOptions, ImageInArchive, read, write_file};
use boxwright_image::layout::Layout;

use crate::api::Api;
use crate::blobs::Blobs;
use crate::lease::Lease;
use crate::store::Store;
use crate::{documents, records};

pub(crate) async fn export(api: &Api, wanted: &ExportRequest, session: &Session) -> Result<()> {
    let lease = Lease::take(api, "export").await?;
    let result = session.cancellable(write(lease.api(), wanted, session)).await;
    lease.finish(result).await
}

async fn write(api: &Api, wanted: &ExportRequest, session: &Session) -> Result<()> {
    let image = &wanted.image;
    let target = records::target(api, image, &format!("cannot export `{image}`")).await?;
    let manifest = documents::image(api, &target).await?.manifest;
    let folder = temporary_folder(session)?;
    let (layout, blobs) = (Layout::open(folder.path())?, Blobs::new(api));
    let layers = manifest.layers.iter().map(|(layer, _)| layer);
    for blob in layers.chain([&manifest.config, &manifest.descriptor]) {
        if layout.size(&blob.digest).await?.is_none() {
            layout.write(blobs.open(&blob.digest).await?, Some(&blob.digest)).await?;
        }
    }
    let kind = match wanted.format {
        ArchiveFormat::Oci => ArchiveKind::Oci,
        ArchiveFormat::Docker => ArchiveKind::Docker,
    };
    let names = match image {
        LocalImage::Reference(name) => vec![name.to_string()],
        _ => Vec::new(),
    };
    write_file(&layout, &manifest, ArchiveOptions::new(kind, names), &wanted.destination).await
}

pub(crate) async fn import(
    api: &Api,
    wanted: &ImportRequest,
    session: &Session,
) -> Result<ImportOutput> {
    let what = format!("cannot import `{}`", wanted.archive.display());
    let folder = temporary_folder(session)?;
    let layout = Layout::open(folder.path())?;
    let found = session.cancellable(read(&wanted.archive, &layout)).await;
    let image = the_one(found.map_err(|error| not_an_archive(error, &what))?, &what)?;
    Store::new(api).publish(&image.manifest, &layout, &wanted.names, session).await?;
    Ok(ImportOutput::new(image.manifest.config.digest))
}

pub(crate) fn temporary_folder(session: &Session) -> Result<tempfile::TempDir> {
    let folder =
        tempfile::Builder::new().prefix("boxwright-").tempdir_in(session.host.temporary_folder());
    folder.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot make a temporary folder")
            .with_source(error)
            .with_remedy("name another one by `TMPDIR`")
    })
}

/// What is wrong with a file that the user named is the user's to mend.
fn not_an_archive(error: Error, what: &str) -> Error {
    match error.kind() {
        ErrorKind::Protocol => Error::new(ErrorKind::InvalidInput, what)
            .with_source(error)
            .with_remedy("name an OCI or docker archive, such as `docker save` writes"),
        _ => error,
    }
}

/// Returns the only image of an archive, or the only one for this platform.
fn the_one(mut images: Vec<ImageInArchive>, what: &str) -> Result<ImageInArchive> {
    let count = images.len();
    if count > 1 {
        let here = Platform::of_this_machine();
        images.retain(|image| image.platform.as_ref() == Some(&here));
    }
    match (images.pop(), images.pop()) {
        (Some(image), None) => Ok(image),
        (found, _) => {
            let here = if found.is_some() { "more than one" } else { "none" };
            let cause = format!("it holds {count} images, and {here} of them for this platform");
            Err(Error::new(ErrorKind::InvalidInput, what).with_cause(cause))
        }
    }
}
