//! Writes an archive from any store of blobs, as they come.

use std::path::Path;

use boxwright_core::{BlobStore, Digest, Error, ErrorKind, Manifest, Result};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::ArchiveOptions;
use super::write::{documents, path_of, wanted};
use crate::config::ImageConfig;
use crate::manifest::DOCUMENT_LIMIT;
use crate::tar::{BLOCK, Header, Kind, Writer, padding};

/// Writes the image `manifest` of `blobs` as an archive to `out`. When it fails, what was written is no archive.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] when the store lacks a blob that is not left out, [`ErrorKind::Protocol`] when one is damaged
/// there, [`ErrorKind::Cancelled`] when nobody reads `out` any more.
pub async fn write_to(
    blobs: &dyn BlobStore,
    manifest: &Manifest,
    options: &ArchiveOptions,
    out: &mut (dyn AsyncWrite + Send + Unpin),
) -> Result<()> {
    let mut config = Vec::new();
    let stream = blobs.open(&manifest.config.digest).await?;
    stream.take(DOCUMENT_LIMIT).read_to_end(&mut config).await.map_err(crate::read_error)?;
    let config = ImageConfig::parse(&config)?;
    for (name, bytes) in documents(manifest, config, options) {
        send(out, &head(Path::new(name), Kind::File { size: bytes.len() as u64 })?).await?;
        send(out, &bytes).await?;
        send(out, &[0; BLOCK][..padding(bytes.len() as u64)]).await?;
    }
    for folder in ["blobs", "blobs/sha256"] {
        send(out, &head(Path::new(folder), Kind::Folder)?).await?;
    }
    for digest in wanted(manifest, options) {
        blob(blobs, digest, out).await?;
    }
    send(out, &[0; 2 * BLOCK]).await?;
    out.flush().await.map_err(crate::write_error)
}

async fn blob(
    blobs: &dyn BlobStore,
    digest: &Digest,
    out: &mut (dyn AsyncWrite + Send + Unpin),
) -> Result<()> {
    let size = blobs.size(digest).await?.ok_or_else(|| super::write::missing(digest))?;
    send(out, &head(Path::new(&path_of(digest)), Kind::File { size })?).await?;
    let mut stream = blobs.open(digest).await?;
    let mut buffer = vec![0; 256 << 10];
    let mut left = size;
    loop {
        let count = stream.read(&mut buffer).await.map_err(crate::read_error)?;
        if count == 0 {
            break;
        }
        left = left.checked_sub(count as u64).ok_or_else(|| changed(digest))?;
        send(out, &buffer[..count]).await?;
    }
    if left > 0 {
        return Err(changed(digest));
    }
    send(out, &[0; BLOCK][..padding(size)]).await
}

fn head(path: &Path, kind: Kind) -> Result<Vec<u8>> {
    let mode = if kind == Kind::Folder { 0o755 } else { 0o644 };
    let mut bytes = Vec::new();
    Writer::new(&mut bytes).header(&Header::new(path, kind, mode)).map_err(crate::write_error)?;
    Ok(bytes)
}

async fn send(out: &mut (dyn AsyncWrite + Send + Unpin), bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).await.map_err(crate::write_error)
}

fn changed(digest: &Digest) -> Error {
    Error::new(ErrorKind::Protocol, "cannot write the archive")
        .with_cause(format!("the blob `{digest}` changed while it was read"))
}
