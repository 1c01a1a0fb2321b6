//! Images to and from archives.

use std::path::Path;

use boxwright_core::{
    ArchiveFormat, Error, ErrorKind, Event, ExportRequest, ImportOutput, ImportRequest, LocalImage,
    Platform, Result, Session,
};
use boxwright_http::http::{HeaderValue, Method, header};
use boxwright_http::{Body, HeldBody};
use boxwright_image::archive::{ArchiveKind, ArchiveOptions, ImageInArchive};
use boxwright_image::layout::Layout;
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::StreamReader;

use crate::api::{Api, request};
use crate::query::Address;
use crate::wire::Loaded;
use crate::{images, tags};

/// After how many bytes an export says how far it is.
const REPORT_EVERY: u64 = 4 * 1024 * 1024;

pub(crate) async fn export(api: &Api, wanted: &ExportRequest, session: &Session) -> Result<()> {
    let image = &wanted.image;
    let what = format!("cannot export `{image}`");
    let own =
        if images::is_oci(api, image).await? { ArchiveFormat::Oci } else { ArchiveFormat::Docker };
    let work = async {
        let name = match own {
            ArchiveFormat::Oci => "oci-archive",
            ArchiveFormat::Docker => "docker-archive",
        };
        let address =
            Address::libpod(&["images/", &images::name_of(image), "/get"]).with("format", name);
        let answer = api.stream(request(Method::GET, &address, Body::empty())?, &what).await;
        let body = answer.map_err(|error| images::missing(error, image))?.into_body();
        if wanted.format == own {
            save(body, &wanted.destination, session).await
        } else {
            convert(body, wanted, session).await
        }
    };
    session.cancellable(work).await
}

/// Writes an answer in the other format than the image has in the store. The service would write another config for
/// it, and so make another image of it.
async fn convert(body: HeldBody, wanted: &ExportRequest, session: &Session) -> Result<()> {
    let folder = temporary_folder(session)?;
    let layout = Layout::open(folder.path())?;
    let chunks = body.into_data_stream().map(|chunk| chunk.map_err(std::io::Error::other));
    let found =
        boxwright_image::archive::read_stream(Box::new(StreamReader::new(chunks)), &layout).await?;
    let image = the_one(found, "cannot read the service's answer")?;
    let (kind, names) = match (wanted.format, &wanted.image) {
        (ArchiveFormat::Oci, _) => (ArchiveKind::Oci, Vec::new()),
        (ArchiveFormat::Docker, LocalImage::Reference(name)) => {
            (ArchiveKind::Docker, vec![name.to_string()])
        }
        (ArchiveFormat::Docker, _) => (ArchiveKind::Docker, Vec::new()),
    };
    let options = ArchiveOptions::new(kind, names);
    boxwright_image::archive::write_file(&layout, &image.manifest, options, &wanted.destination)
        .await
}

fn temporary_folder(session: &Session) -> Result<tempfile::TempDir> {
    let folder =
        tempfile::Builder::new().prefix("boxwright-").tempdir_in(session.host.temporary_folder());
    folder.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot make a temporary folder")
            .with_source(error)
            .with_remedy("name another one by `TMPDIR`")
    })
}

/// Writes an answer beside `destination`, then renames it.
async fn save(body: HeldBody, destination: &Path, session: &Session) -> Result<()> {
    let cannot = |error: std::io::Error| cannot_write(destination, error);
    let folder = destination.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Gone again when dropped, on every way out but the last.
    let temporary = tempfile::Builder::new()
        .prefix(".boxwright-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(cannot)?;
    let mut file = tokio::fs::File::from_std(temporary.reopen().map_err(cannot)?);
    let mut chunks = http_body_util::BodyStream::new(body);
    let (mut written, mut reported) = (0, 0);
    while let Some(frame) = chunks.next().await {
        let frame = frame.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the service stopped in the middle of the image")
                .with_source(error)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        file.write_all(&data).await.map_err(cannot)?;
        written += data.len() as u64;
        if written - reported >= REPORT_EVERY {
            reported = written;
            report(session, "exporting", written).await;
        }
    }
    file.flush().await.map_err(cannot)?;
    drop(file);
    temporary.persist(destination).map_err(|error| cannot(error.error))?;
    report(session, "exported", written).await;
    Ok(())
}

async fn report(session: &Session, status: &str, current: u64) {
    let event = Event::Transfer {
        item: "archive".to_owned(),
        status: status.to_owned(),
        current: Some(current),
        total: None,
    };
    session.events.emit(event).await;
}

fn cannot_write(destination: &Path, error: std::io::Error) -> Error {
    let (kind, remedy) = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Exhausted, "free some space, or write it elsewhere")
        }
        _ => (ErrorKind::InvalidInput, "name a file in a folder that you may write to"),
    };
    Error::new(kind, format!("cannot write `{}`", destination.display()))
        .with_source(error)
        .with_remedy(remedy)
}

pub(crate) async fn import(
    api: &Api,
    wanted: &ImportRequest,
    session: &Session,
) -> Result<ImportOutput> {
    let shown = wanted.archive.display();
    let what = format!("cannot import `{shown}`");
    let work = async {
        let folder = temporary_folder(session)?;
        let layout = Layout::open(folder.path())?;
        let found = boxwright_image::archive::read(&wanted.archive, &layout).await;
        let image = the_one(found.map_err(|error| not_an_archive(error, &what))?, &what)?;
        let id = image.manifest.config.digest.clone();
        // In OCI's format Podman does not show `HEALTHCHECK` and `SHELL`, though they are there.
        let is_dockers = layout.config(&image.manifest).await?.needs_docker_format();
        let kind = if is_dockers { ArchiveKind::Docker } else { ArchiveKind::Combined };
        // Names are given afterwards, so that none of the archive's can come along.
        let options = ArchiveOptions::new(kind, Vec::new());
        let archive = boxwright_image::archive::write(&layout, &image.manifest, options).await?;
        let mut request =
            request(Method::POST, &Address::libpod(&["images/load"]), Body::reader(archive))?;
        let kind = HeaderValue::from_static("application/x-tar");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        let loaded: Loaded = api.ask(request, &what).await?;
        if images::find(api, &LocalImage::from(id.clone())).await?.is_none() {
            return Err(Error::new(ErrorKind::Protocol, what.as_str()).with_cause(format!(
                "the service made {} of it, not {id}",
                loaded.names.join(", ")
            )));
        }
        tags::apply(api, &id, &wanted.names).await?;
        Ok(ImportOutput::new(id))
    };
    session.cancellable(work).await
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
fn the_one(images: Vec<ImageInArchive>, what: &str) -> Result<ImageInArchive> {
    let invalid = |cause: String| Error::new(ErrorKind::InvalidInput, what).with_cause(cause);
    let count = images.len();
    if count == 1 {
        return images.into_iter().next().ok_or_else(|| invalid("it holds no image".into()));
    }
    let here = Platform::of_this_machine();
    let mut fitting = images.into_iter().filter(|image| image.platform.as_ref() == Some(&here));
    match (fitting.next(), fitting.next()) {
        (Some(image), None) => Ok(image),
        (None, _) => Err(invalid(format!("it holds {count} images, and none for {here}"))),
        (Some(_), Some(_)) => {
            Err(invalid(format!("it holds {count} images, and more than one for {here}")))
        }
    }
}
