//! Images out of the daemon and into it, as archives.

use std::path::Path;

use boxwright_core::{
    ArchiveFormat, Digest, Error, ErrorKind, ExportRequest, ImportOutput, ImportRequest,
    LocalImage, Result, Session,
};
use boxwright_image::archive::{self, ArchiveKind, ArchiveOptions, ImageInArchive};
use boxwright_image::layout::Layout;
use tokio::io::AsyncWriteExt as _;

use crate::daemon::Daemon;
use crate::images;

/// Writes an image to an archive.
pub(crate) async fn export(
    daemon: &Daemon,
    request: &ExportRequest,
    session: &Session,
) -> Result<()> {
    let work = async {
        let name = daemon.name_of(&request.image).await?;
        let found = daemon.api.inspect(&name).await?;
        let id = images::daemon_id(&found)?;
        match request.format {
            ArchiveFormat::Docker => save(daemon, &name, &request.destination).await,
            ArchiveFormat::Oci => {
                let id = daemon.id_of(id).await?;
                convert(daemon, &name, &id, request, session).await
            }
        }
    };
    session.cancellable(work).await
}

/// Writes what `docker save` writes, as it is.
async fn save(daemon: &Daemon, name: &str, destination: &Path) -> Result<()> {
    let cannot = |error: std::io::Error| cannot_write(destination, error);
    let folder = destination.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let mut archive = daemon.api.save(name).await?;
    let part = tempfile::Builder::new().prefix(".boxwright").tempfile_in(folder).map_err(cannot)?;
    let (file, part) = part.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    copy(&mut archive, &mut file, destination).await?;
    file.flush().await.map_err(cannot)?;
    part.persist(destination).map_err(|error| cannot(error.error))?;
    Ok(())
}

/// Copies, and tells a daemon that breaks off from a disk that is full.
async fn copy(
    archive: &mut boxwright_core::ByteStream,
    file: &mut tokio::fs::File,
    destination: &Path,
) -> Result<()> {
    use tokio::io::AsyncReadExt as _;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = archive.read(&mut buffer).await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the daemon broke off the export")
                .with_source(error)
                .with_remedy("see whether the daemon still runs, and what its log says")
        })?;
        if read == 0 {
            return Ok(());
        }
        let written = file.write_all(&buffer[..read]).await;
        written.map_err(|error| cannot_write(destination, error))?;
    }
}

fn cannot_write(destination: &Path, error: std::io::Error) -> Error {
    let what = format!("cannot write `{}`", destination.display());
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Error::new(ErrorKind::Exhausted, what)
                .with_source(error)
                .with_remedy("free some of the disk, or write to another one")
        }
        std::io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, what)
            .with_source(error)
            .with_remedy("make the folder first"),
        _ => Error::new(ErrorKind::InvalidInput, what).with_source(error),
    }
}

/// Writes an OCI archive of what the daemon saves.
async fn convert(
    daemon: &Daemon,
    name: &str,
    id: &Digest,
    request: &ExportRequest,
    session: &Session,
) -> Result<()> {
    let (folder, layout) = temporary_layout(session)?;
    let found = archive::read_stream(daemon.api.save(name).await?, &layout).await?;
    let image = found.into_iter().find(|image| image.manifest.config.digest == *id);
    let image = image.ok_or_else(|| {
        Error::new(ErrorKind::Protocol, format!("cannot export `{}`", request.image))
            .with_cause("the daemon saved another image")
    })?;
    let names = match &request.image {
        LocalImage::Reference(reference) => vec![reference.to_string()],
        LocalImage::Id(_) | LocalImage::IdPrefix(_) => Vec::new(),
    };
    let options = ArchiveOptions::new(ArchiveKind::Oci, names);
    archive::write_file(&layout, &image.manifest, options, &request.destination).await?;
    drop(folder);
    Ok(())
}

/// Reads an image from an archive into the daemon.
pub(crate) async fn import(
    daemon: &Daemon,
    request: &ImportRequest,
    session: &Session,
) -> Result<ImportOutput> {
    let work = async {
        let (folder, layout) = temporary_layout(session)?;
        let found = archive::read(&request.archive, &layout).await;
        let found = found.map_err(|error| no_archive(&request.archive, error))?;
        let image = only_image(daemon, found, &request.archive)?;
        let names = request.names.iter().map(ToString::to_string).collect();
        let options = ArchiveOptions::new(ArchiveKind::Combined, names);
        let archive = archive::write(&layout, &image.manifest, options).await?;
        daemon.api.load(archive).await?;
        drop(folder);
        let id = image.manifest.config.digest;
        daemon.learn(&image.manifest.descriptor.digest, &id);
        // The daemon answers with success to some archives that it took nothing from.
        let name = daemon.name_of(&LocalImage::Id(id.clone())).await?;
        daemon.api.inspect(&name).await?;
        Ok(ImportOutput::new(id))
    };
    session.cancellable(work).await
}

/// Says that it is the file that is wrong, and no daemon.
fn no_archive(archive: &Path, error: Error) -> Error {
    if error.kind() != ErrorKind::Protocol {
        return error;
    }
    let what = format!("cannot import `{}`", archive.display());
    Error::new(ErrorKind::InvalidInput, what)
        .with_source(error)
        .with_remedy("make the archive again: `boxwright build --output type=oci,dest=FILE`")
}

fn only_image(
    daemon: &Daemon,
    mut images: Vec<ImageInArchive>,
    archive: &Path,
) -> Result<ImageInArchive> {
    let invalid = |cause: String| {
        let what = format!("cannot import `{}`", archive.display());
        Error::new(ErrorKind::InvalidInput, what).with_cause(cause)
    };
    if images.len() > 1 {
        let wanted = &daemon.server.platform;
        images.retain(|image| image.platform.as_ref().is_none_or(|found| found == wanted));
    }
    match images.len() {
        1 => Ok(images.remove(0)),
        0 => Err(invalid(format!("it has no image for {}", daemon.server.platform))),
        many => {
            Err(invalid(format!("it has {many} images"))
                .with_remedy("make an archive of one image"))
        }
    }
}

fn temporary_layout(session: &Session) -> Result<(tempfile::TempDir, Layout)> {
    let parent = session.host.temporary_folder();
    let folder = tempfile::Builder::new().prefix("boxwright-").tempdir_in(&parent);
    let folder = folder.map_err(|error| {
        let what = format!("cannot make a folder in `{}`", parent.display());
        Error::new(ErrorKind::Unavailable, what)
            .with_source(error)
            .with_remedy("set `TMPDIR` to a folder that can be written")
    })?;
    let layout = Layout::open(folder.path())?;
    Ok((folder, layout))
}
