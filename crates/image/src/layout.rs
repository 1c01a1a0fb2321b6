//! An OCI image layout: blobs in a folder, by digest.

use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use boxwright_core::{
    BlobStore, ByteStream, Descriptor, Digest, Error, ErrorKind, Manifest, Result,
};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::config::ImageConfig;
use crate::manifest::{self, DOCUMENT_LIMIT, Document};
use crate::pipe::blocking;
use crate::verify::{Hasher, Place, Verified, wrong_bytes};

/// A folder with blobs by digest. Cheap to clone.
///
/// A blob is written beside and renamed, so it is there whole or not at all, whoever else writes
/// and whenever the process ends. Every read is verified, and a blob that turns out to be damaged is removed: it
/// is made or fetched again, and never used.
/// Source: OCI image specification 1.1, `image-layout.md`.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: Arc<PathBuf>,
}

/// Where blobs are written before they have a digest.
const INGEST: &str = "ingest";

impl Layout {
    /// Opens the layout in `folder`, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the folder cannot be made or written.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        let fail = |error| cannot_write(&folder, error);
        for part in [INGEST, "blobs/sha256", "blobs/sha512"] {
            fs::create_dir_all(folder.join(part)).map_err(fail)?;
        }
        for (name, text) in [
            ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#),
            ("index.json", r#"{"schemaVersion":2,"manifests":[]}"#),
        ] {
            let path = folder.join(name);
            if !path.exists() {
                let mut file = temporary(&folder.join(INGEST)).map_err(fail)?;
                file.write_all(text.as_bytes()).map_err(fail)?;
                match file.persist_noclobber(path) {
                    Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(fail(error.error));
                    }
                    _ => {}
                }
            }
        }
        Ok(Self { folder: Arc::new(folder) })
    }

    /// Returns the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads a whole blob of at most `limit` bytes, verified.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when it is not there, [`ErrorKind::Protocol`] when its bytes are wrong,
    /// [`ErrorKind::Exhausted`] when it is larger.
    pub async fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let (layout, digest) = (self.clone(), digest.clone());
        blocking(move || layout.read_blocking(&digest, limit)).await
    }

    /// Reads a blob as [`Layout::read`] does, in a blocking thread.
    ///
    /// # Errors
    ///
    /// As [`Layout::read`].
    pub fn read_blocking(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let blob = self.open_blocking(digest)?;
        blob.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(crate::read_error)?;
        if bytes.len() as u64 > limit {
            return Err(Error::new(
                ErrorKind::Exhausted,
                format!("cannot read the blob `{digest}`"),
            )
            .with_cause(format!("it has more than {limit} bytes")));
        }
        Ok(bytes)
    }

    /// Opens a blob for reading in a blocking thread, verified like any other read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when it is not there.
    pub fn open_blocking(&self, digest: &Digest) -> Result<impl Read + Send + use<>> {
        let file = fs::File::open(self.path(digest)).map_err(|error| no_blob(digest, error))?;
        let place = Place::of(self.path(digest), file.metadata());
        Ok(Verified::new(file, digest.clone()).at(place))
    }

    /// Returns why what was read of a blob cannot be used: because the blob is damaged, if it is, or else `error`.
    /// What decompresses or parses it mostly fails before its digest is known. Blocks.
    pub(crate) fn blame(&self, digest: &Digest, error: Error) -> Error {
        let kinds = [ErrorKind::Protocol, ErrorKind::InvalidInput, ErrorKind::Exhausted];
        if !kinds.contains(&error.kind()) {
            return error;
        }
        let blob = self.open_blocking(digest);
        match blob.map(|mut blob| io::copy(&mut blob, &mut io::sink())) {
            Ok(Err(damage)) => crate::read_error(damage),
            _ => error,
        }
    }

    /// Returns whether a blob is there, of whatever size. Blocks.
    #[must_use]
    pub fn blob_is_there(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// Keeps `bytes`, and returns what points at them as a `media_type`.
    ///
    /// # Errors
    ///
    /// As [`BlobStore::write`].
    pub async fn put(&self, bytes: &[u8], media_type: &str) -> Result<Descriptor> {
        let stream = Box::new(io::Cursor::new(bytes.to_vec()));
        let (digest, size) = self.write(stream, None).await?;
        Ok(Descriptor { media_type: media_type.to_owned(), digest, size })
    }

    /// Reads the manifest `digest` and the config it names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when a blob is not there, [`ErrorKind::Protocol`] when it is an index, or
    /// config and manifest disagree.
    pub async fn manifest(&self, digest: &Digest) -> Result<Manifest> {
        let (layout, digest) = (self.clone(), digest.clone());
        blocking(move || layout.manifest_blocking(&digest)).await
    }

    pub(crate) fn manifest_blocking(&self, digest: &Digest) -> Result<Manifest> {
        let bytes = self.read_blocking(digest, DOCUMENT_LIMIT)?;
        let wrong = |cause: String| {
            Error::new(ErrorKind::Protocol, format!("cannot read the manifest `{digest}`"))
                .with_cause(cause)
        };
        let Document::Manifest(document) = manifest::parse(&bytes, None)? else {
            return Err(wrong("it is a list of manifests".into()));
        };
        let diff_ids = self.config_blocking(&document.config)?.rootfs.diff_ids;
        if diff_ids.len() != document.layers.len() {
            let (layers, diff_ids) = (document.layers.len(), diff_ids.len());
            return Err(wrong(format!("it has {layers} layers and its config has {diff_ids}")));
        }
        let media_type =
            document.media_type.unwrap_or_else(|| manifest::media_type::OCI_MANIFEST.to_owned());
        let size = bytes.len() as u64;
        Ok(Manifest {
            descriptor: Descriptor { media_type, digest: digest.clone(), size },
            config: document.config,
            layers: document.layers.into_iter().zip(diff_ids).collect(),
        })
    }

    /// Reads the config of an image.
    ///
    /// # Errors
    ///
    /// As [`Layout::read`], and [`ErrorKind::Protocol`] when it is no config.
    pub async fn config(&self, manifest: &Manifest) -> Result<ImageConfig> {
        let (layout, config) = (self.clone(), manifest.config.clone());
        blocking(move || layout.config_blocking(&config)).await
    }

    pub(crate) fn config_blocking(&self, config: &Descriptor) -> Result<ImageConfig> {
        ImageConfig::parse(&self.read_blocking(&config.digest, DOCUMENT_LIMIT)?)
    }

    /// Keeps all that `bytes` gives; see [`BlobStore::write`].
    pub(crate) fn write_blocking(
        &self,
        bytes: &mut impl Read,
        expected: Option<&Digest>,
    ) -> Result<(Digest, u64)> {
        let fail = |error| cannot_write(&self.folder, error);
        let mut temporary = temporary(&self.ingest()).map_err(fail)?;
        let mut hasher = expected.map_or_else(Hasher::sha256, Hasher::like);
        let mut buffer = vec![0; 256 << 10];
        let mut size = 0;
        loop {
            let count = match bytes.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(crate::read_error(error)),
            };
            hasher.update(&buffer[..count]);
            temporary.write_all(&buffer[..count]).map_err(fail)?;
            size += count as u64;
        }
        let digest = self.keep(temporary, hasher.finish(), expected)?;
        Ok((digest, size))
    }

    pub(crate) fn size_blocking(&self, digest: &Digest) -> Result<Option<u64>> {
        match fs::metadata(self.path(digest)) {
            Ok(data) => Ok(Some(data.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(no_blob(digest, error)),
        }
    }

    pub(crate) fn keep(
        &self,
        temporary: NamedTempFile,
        digest: Digest,
        expected: Option<&Digest>,
    ) -> Result<Digest> {
        if let Some(expected) = expected
            && digest != *expected
        {
            return Err(wrong_bytes(expected).with_context("digest", digest.as_str()));
        }
        // Renaming over an equal blob mends one that was damaged.
        let kept = temporary.persist(self.path(&digest));
        kept.map_err(|error| cannot_write(&self.folder, error.error))?;
        Ok(digest)
    }

    async fn open_blob(&self, digest: &Digest) -> Result<Verified<tokio::fs::File>> {
        let path = self.path(digest);
        let file = tokio::fs::File::open(&path).await.map_err(|error| no_blob(digest, error))?;
        let place = Place::of(path, file.metadata().await);
        Ok(Verified::new(file, digest.clone()).at(place))
    }

    // A `Digest` is checked where it is made, so it cannot climb (threat 27).
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(digest.algorithm()).join(digest.hex())
    }

    pub(crate) fn ingest(&self) -> PathBuf {
        self.folder.join(INGEST)
    }
}

#[async_trait]
impl BlobStore for Layout {
    async fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        let (layout, digest) = (self.clone(), digest.clone());
        blocking(move || layout.size_blocking(&digest)).await
    }

    async fn open(&self, digest: &Digest) -> Result<ByteStream> {
        Ok(Box::new(self.open_blob(digest).await?))
    }

    async fn write(
        &self,
        mut bytes: ByteStream,
        expected: Option<&Digest>,
    ) -> Result<(Digest, u64)> {
        let fail = |error| cannot_write(&self.folder, error);
        let temporary = temporary(&self.ingest()).map_err(fail)?;
        let file = temporary.as_file().try_clone().map_err(fail)?;
        let mut file = tokio::fs::File::from_std(file);
        let mut hasher = expected.map_or_else(Hasher::sha256, Hasher::like);
        let mut buffer = vec![0; 256 << 10];
        let mut size = 0;
        loop {
            let count = bytes.read(&mut buffer).await.map_err(crate::read_error)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            file.write_all(&buffer[..count]).await.map_err(fail)?;
            size += count as u64;
        }
        file.flush().await.map_err(fail)?;
        drop(file);
        let digest = self.keep(temporary, hasher.finish(), expected)?;
        Ok((digest, size))
    }
}

/// Makes a file that is gone unless it is persisted.
pub(crate) fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let readable = fs::Permissions::from_mode(0o644);
    tempfile::Builder::new().prefix("blob-").permissions(readable).tempfile_in(folder)
}

fn no_blob(digest: &Digest, error: io::Error) -> Error {
    let message = format!("cannot read the blob `{digest}`");
    if error.kind() == io::ErrorKind::NotFound {
        return Error::new(ErrorKind::NotFound, message).with_cause("it is not in the store");
    }
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}

/// Returns the error of a failed write to `path`.
pub(crate) fn cannot_write(path: &Path, error: io::Error) -> Error {
    let message = format!("cannot write to `{}`", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::new(ErrorKind::Exhausted, message)
                .with_source(error)
                .with_remedy("free some space there, or choose another place")
        }
        _ => Error::new(ErrorKind::Unavailable, message).with_source(error),
    }
}
