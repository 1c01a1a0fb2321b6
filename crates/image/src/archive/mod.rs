//! Archives of images: what engines save and load.

mod docker;
mod oci;
mod read;
mod stream;
mod write;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use boxwright_core::{ByteStream, Digest, Error, ErrorKind, Index, Manifest, Platform, Result};

use crate::layout::Layout;
use crate::output;
use crate::pipe::{PipeStream, blocking, read_blocking};

pub use stream::write_to;

/// One image of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInArchive {
    /// Its manifest. For a docker archive, which has none, one that was made here.
    pub manifest: Manifest,
    /// What it is for.
    pub platform: Option<Platform>,
    /// The names that the archive has for it. They are hostile, and never applied by themselves.
    pub names: Vec<String>,
}

/// The format of an archive that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveKind {
    /// A tar of an OCI image layout. It lists the image once for each name; Podman loads one with
    /// a single name only.
    Oci,
    /// What `docker save` wrote before version 25.
    Docker,
    /// Both in one, which every engine loads. Its OCI list has the first name alone.
    Combined,
}

/// What an archive is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ArchiveOptions {
    /// The format.
    pub kind: ArchiveKind,
    /// The names it has for the image, such as `ghcr.io/acme/api:1.4`.
    pub names: Vec<String>,
    /// Blobs that are left out, since the reader has them.
    pub without: BTreeSet<Digest>,
}

impl ArchiveOptions {
    /// Returns options for an archive with `names` and all blobs.
    #[must_use]
    pub fn new(kind: ArchiveKind, names: Vec<String>) -> Self {
        Self { kind, names, without: BTreeSet::new() }
    }
}

/// Reads the archive `archive` into `layout`: OCI or docker, plain or compressed with gzip, zstd, bzip2 or xz.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] when there is no such file, else as [`read_stream`].
pub async fn read(archive: &Path, layout: &Layout) -> Result<Vec<ImageInArchive>> {
    let (archive, layout) = (archive.to_owned(), layout.clone());
    blocking(move || {
        let shown = archive.display();
        let file = File::open(&archive).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::InvalidInput,
            };
            Error::new(kind, format!("cannot open the archive `{shown}`")).with_source(error)
        })?;
        let images = read::images(file, &layout);
        images.map_err(|error| error.with_context("archive", shown.to_string()))
    })
    .await
}

/// Reads an archive from a stream into `layout`.
///
/// # Errors
///
/// [`ErrorKind::Protocol`] when it is no archive of images, is cut short, or its blobs do not have the
/// digests they are named by; [`ErrorKind::InvalidInput`] when an entry is hostile;
/// [`ErrorKind::Exhausted`] when it exceeds a limit.
pub async fn read_stream(archive: ByteStream, layout: &Layout) -> Result<Vec<ImageInArchive>> {
    let layout = layout.clone();
    read_blocking(archive, move |reader| read::images(reader, &layout)).await
}

/// Returns the image `manifest` of `layout` as an archive. An error of the layout is an error of the stream.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] when the layout lacks a blob that is not left out.
pub async fn write(
    layout: &Layout,
    manifest: &Manifest,
    options: ArchiveOptions,
) -> Result<ByteStream> {
    let (layout, manifest) = (layout.clone(), manifest.clone());
    let plan = blocking(move || write::Plan::new(layout, &manifest, &options)).await?;
    Ok(Box::new(PipeStream::new(move |out| plan.write(out))))
}

/// Writes the image `manifest` of `layout` to the file `destination`: beside it first, then renamed, so
/// that it is there whole or not at all.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when `destination` is something else than a regular file,
/// [`ErrorKind::Exhausted`] when the disk is full, else as [`write()`].
pub async fn write_file(
    layout: &Layout,
    manifest: &Manifest,
    options: ArchiveOptions,
    destination: &Path,
) -> Result<()> {
    let (layout, manifest) = (layout.clone(), manifest.clone());
    let destination = destination.to_owned();
    blocking(move || {
        let plan = write::Plan::new(layout, &manifest, &options)?;
        output::replace_file(&destination, |file| plan.write(file))
    })
    .await
}

/// Returns an index of `layout` with all of its images as an OCI archive that lists it under `names`, as
/// `docker buildx build --output type=oci` does.
///
/// # Errors
///
/// As [`write()`].
pub async fn write_index(layout: &Layout, index: &Index, names: Vec<String>) -> Result<ByteStream> {
    let (layout, index) = (layout.clone(), index.clone());
    let plan = blocking(move || write::Plan::of_index(layout, &index, &names)).await?;
    Ok(Box::new(PipeStream::new(move |out| plan.write(out))))
}

/// Writes an index of `layout` to the file `destination`, as [`write_index`] has it and [`write_file`] does.
///
/// # Errors
///
/// As [`write_file`].
pub async fn write_index_file(
    layout: &Layout,
    index: &Index,
    names: Vec<String>,
    destination: &Path,
) -> Result<()> {
    let (layout, index, destination) = (layout.clone(), index.clone(), destination.to_owned());
    blocking(move || {
        let plan = write::Plan::of_index(layout, &index, &names)?;
        output::replace_file(&destination, |file| plan.write(file))
    })
    .await
}
