//! Further contexts, which the request gives names.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_context::Context;
use boxwright_core::{
    BlobStore as _, Descriptor, Digest, DockerfileSource, Error, ErrorKind, Manifest, NamedContext,
    Platform, Result,
};
use boxwright_image::manifest::{self, DOCUMENT_LIMIT, Document, IndexEntry};
use tempfile::TempDir;

use crate::build::{Build, Built};
use crate::files::Files;
use crate::memory::FileMemory;
use crate::stage::Stage;
use crate::store::Store;
use crate::{blocking, bound, config, origin};

/// What a named context came to.
#[derive(Clone)]
pub(crate) enum Named {
    Files(Arc<NamedFiles>),
    Image(Arc<Built>),
}

/// Files, and the folder that they are in if that is gone with the build.
pub(crate) struct NamedFiles {
    pub(crate) files: Arc<Files>,
    _folder: Option<TempDir>,
}

/// Opens the context `name`.
pub(crate) async fn open(build: &Build<'_>, name: &str) -> Result<Named> {
    let given = build.request.contexts.get(name);
    let given = given.ok_or_else(|| {
        Error::new(ErrorKind::Bug, format!("the request has no context `{name}`"))
    })?;
    let nothing = DockerfileSource::Text(String::new());
    match given {
        NamedContext::Folder(folder) => {
            let folder = build.session.host.absolute(folder);
            let context = blocking(move || Context::open(&folder, &nothing)).await?;
            files(context, None).await
        }
        NamedContext::Address(address) => {
            let opened = origin::at(address, &nothing, &build.session).await?;
            files(opened.context, opened.folder).await
        }
        NamedContext::Image(image) => {
            Ok(Named::Image(build.image(&image.to_string(), &build.platform).await?))
        }
        NamedContext::Layout { folder, reference } => {
            let folder = build.session.host.absolute(folder);
            let wanted = Wanted { folder, reference: reference.as_deref(), name };
            let manifest = wanted.take(&build.around.store, &build.platform).await?;
            Ok(Named::Image(Arc::new(Built::of_image(&build.around.store, &manifest).await?)))
        }
    }
}

async fn files(context: Context, folder: Option<TempDir>) -> Result<Named> {
    let files =
        Arc::new(blocking(move || Files::of_context(context, FileMemory::default())).await?);
    Ok(Named::Files(Arc::new(NamedFiles { files, _folder: folder })))
}

/// Returns the stage of `FROM` a context that is files: all of them, as one layer.
pub(crate) async fn stage(
    build: &Build<'_>,
    files: &NamedFiles,
    platform: &Platform,
) -> Result<Stage> {
    let listed = files.files.clone();
    let bound = blocking(move || bound::list(&listed, "/")).await?;
    let layers = bound::layer(build, files.files.clone(), bound).await?;
    Ok(Stage::of_layers(config::empty(platform), layers))
}

/// An image of an OCI layout of the user's.
struct Wanted<'w> {
    folder: PathBuf,
    /// A tag, or a digest.
    reference: Option<&'w str>,
    /// What the context is called.
    name: &'w str,
}

/// How deep lists of manifests may be nested.
const MOST_LEVELS: usize = 4;

impl Wanted<'_> {
    /// Copies the image into the store. Every byte is verified on the way.
    async fn take(&self, store: &Store, platform: &Platform) -> Result<Manifest> {
        let index = self.folder.join("index.json");
        let index = read(&index).map_err(|error| self.fail(error))?;
        let Document::Index(index) = manifest::parse(&index, None)? else {
            return Err(self.wrong("its `index.json` is no list of manifests"));
        };
        let is_wanted = |entry: &IndexEntry| match self.reference {
            None => !entry.is_attestation(),
            Some(reference) => {
                let tag = entry.annotations.get("org.opencontainers.image.ref.name");
                let tag = tag.map(|tag| tag.rsplit_once(':').map_or(tag.as_str(), |(_, tag)| tag));
                tag == Some(reference) || entry.descriptor.digest.as_str() == reference
            }
        };
        let mut entries: Vec<IndexEntry> = index.manifests.into_iter().filter(is_wanted).collect();
        for _ in 0..MOST_LEVELS {
            // Of several, the one for the platform.
            if entries.len() > 1 {
                entries.retain(|entry| entry.platform().as_ref() == Some(platform));
            }
            let [entry] = entries.as_slice() else {
                let shown = self.reference.unwrap_or("image");
                return Err(self.wrong(&format!("it has not one `{shown}` for `{platform}`")));
            };
            let Descriptor { digest, media_type, .. } = entry.descriptor.clone();
            self.copy(store, &digest).await?;
            let bytes = store.layout().read(&digest, DOCUMENT_LIMIT).await?;
            match manifest::parse(&bytes, Some(&media_type))? {
                Document::Manifest(document) => {
                    let blobs = std::iter::once(&document.config).chain(&document.layers);
                    for blob in blobs {
                        self.copy(store, &blob.digest).await?;
                    }
                    return store.layout().manifest(&digest).await;
                }
                Document::Index(inner) => {
                    let images = inner.manifests.into_iter();
                    entries = images.filter(|entry| !entry.is_attestation()).collect();
                }
            }
        }
        Err(self.wrong("its lists are nested too deep"))
    }

    async fn copy(&self, store: &Store, digest: &Digest) -> Result<()> {
        if store.layout().size(digest).await?.is_some() {
            return Ok(());
        }
        let path = self.folder.join("blobs").join(digest.algorithm()).join(digest.hex());
        let file = tokio::fs::File::open(&path).await.map_err(|error| self.fail(error))?;
        store.layout().write(Box::new(file), Some(digest)).await?;
        Ok(())
    }

    fn fail(&self, error: std::io::Error) -> Error {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, self.message()).with_source(error)
    }

    fn wrong(&self, cause: &str) -> Error {
        Error::new(ErrorKind::NotFound, self.message()).with_cause(cause.to_owned()).with_remedy(
            format!(
                "name the image: `--build-context {}=oci-layout://{}:TAG`",
                self.name,
                self.folder.display()
            ),
        )
    }

    fn message(&self) -> String {
        format!("cannot read the OCI layout `{}`", self.folder.display())
    }
}

/// Reads a list of manifests.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(std::io::Error::other(format!("it has more than {DOCUMENT_LIMIT} bytes")));
    }
    Ok(bytes)
}
