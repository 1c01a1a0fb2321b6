//! Files that `ADD` takes from elsewhere: of the web, and of git repositories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use boxwright_context::Context;
use boxwright_core::{
    BlobStore as _, ByteStream, CacheUse, Digest, DockerfileSource, Error, ErrorKind, Result,
    Session,
};
use boxwright_dockerfile::git::without_credentials;
use boxwright_dockerfile::plan::{CopyItem, CopyStep};
use boxwright_image::manifest::digest_of;
use boxwright_registry::{Client, WebFile, WebVersion};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::blocking;
use crate::build::Build;
use crate::files::Files;
use crate::git::{NamedBy, TREE, Wanted};
use crate::memory::FileMemory;
use crate::store::WEB;

/// What one source came to: files in a folder that is gone with it.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) files: Files,
    /// The file, or the folder whose content is wanted.
    pub(crate) path: PathBuf,
    _folder: TempDir,
}

/// What each source of a copy that is an address came to, by its number.
pub(crate) type AllFetched = BTreeMap<usize, Arc<Fetched>>;

/// Fetches the sources of a copy that are addresses.
pub(crate) async fn fetch(step: &CopyStep, build: &Build<'_>) -> Result<AllFetched> {
    let session = &build.session;
    let mut all = BTreeMap::new();
    for (number, item) in step.items.iter().enumerate() {
        let fetched = match item {
            CopyItem::Url { address, name } => {
                file(address, name, step.checksum.as_deref(), build).await?
            }
            CopyItem::Git(address) => {
                let wanted = Wanted {
                    address,
                    commit: step.checksum.as_deref().or(address.commit.as_deref()),
                    keep_git_dir: step.keep_git_dir.or(address.keep_git_dir).unwrap_or_default(),
                    by: NamedBy::Dockerfile,
                };
                let checkout = wanted.check_out(session).await?;
                open(checkout.folder, Path::new(TREE).join(&address.folder)).await?
            }
            CopyItem::Path { .. } | CopyItem::Inline { .. } => continue,
        };
        all.insert(number, Arc::new(fetched));
    }
    Ok(all)
}

async fn file(
    address: &str,
    name: &str,
    checksum: Option<&str>,
    build: &Build<'_>,
) -> Result<Fetched> {
    let (folder, downloaded) = remembered(address, name, checksum, build).await?;
    if let Some(expected) = checksum.filter(|expected| *expected != downloaded.digest.as_str()) {
        let shown = without_credentials(address);
        return Err(Error::new(ErrorKind::BuildFailed, format!("`{shown}` is another file"))
            .with_cause(format!("its digest is `{}`, and not `{expected}`", downloaded.digest))
            .with_remedy("correct `--checksum`, or find out who changed the file"));
    }
    // As BuildKit has it: the server's time, else the beginning of time; for the owner alone.
    let modified = downloaded.modified.and_then(|seconds| u64::try_from(seconds).ok());
    let modified = UNIX_EPOCH + Duration::from_secs(modified.unwrap_or_default());
    let set = |file: &std::fs::File| {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.set_modified(modified)
    };
    let path = folder.path().join(name);
    let opened = std::fs::File::options().write(true).open(&path);
    opened.and_then(|file| set(&file)).map_err(|error| cannot_write(&path, error))?;
    open(folder, PathBuf::from(name)).await
}

/// What a file of the web was when it was fetched last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    version: WebVersion,
    modified: Option<i64>,
    pub(crate) digest: Digest,
    size: u64,
}

/// Downloads a file, unless the store has it from an earlier build: if its digest is the one that is asked for, or if
/// the server says that it did not change.
async fn remembered(
    address: &str,
    name: &str,
    checksum: Option<&str>,
    build: &Build<'_>,
) -> Result<(TempDir, Downloaded)> {
    let (store, session) = (&build.around.store, &build.session);
    // A password is no part of the note's name.
    let key = digest_of(without_credentials(address).as_bytes()).hex().to_owned();
    let seen = match build.around.cache {
        CacheUse::Use => store.read::<Seen>(WEB, &key),
        CacheUse::Ignore => None,
    };
    if let Some(seen) = seen
        && store.use_blob(&seen.digest).await? == Some(seen.size)
    {
        let changed = match checksum == Some(seen.digest.as_str()) {
            true => None,
            false => session.cancellable(client(session).web(address, &seen.version)).await?,
        };
        if let Some(web) = changed {
            return keep(web, address, name, checksum, &key, build).await;
        }
        let (folder, path) = temporary(name, session)?;
        let content = store.layout().open(&seen.digest).await?;
        // What is damaged is fetched again.
        if let Ok(digest) = session.cancellable(write(content, address, &path)).await
            && digest == seen.digest
        {
            let (version, modified) = (seen.version, seen.modified);
            return Ok((folder, Downloaded { version, digest, modified }));
        }
    }
    let web = session.cancellable(get(address, session)).await?;
    keep(web, address, name, checksum, &key, build).await
}

/// Downloads a file, and keeps it if a later build could find out that it is still the same.
async fn keep(
    web: WebFile,
    address: &str,
    name: &str,
    checksum: Option<&str>,
    key: &str,
    build: &Build<'_>,
) -> Result<(TempDir, Downloaded)> {
    let (store, session) = (&build.around.store, &build.session);
    let (folder, downloaded) = save(web, address, name, session).await?;
    if downloaded.version != WebVersion::default() || checksum.is_some() {
        let path = folder.path().join(name);
        let file = tokio::fs::File::open(&path).await.map_err(boxwright_image::read_error)?;
        let (digest, size) = store.layout().write(Box::new(file), Some(&downloaded.digest)).await?;
        let (version, modified) = (downloaded.version.clone(), downloaded.modified);
        store.write(WEB, key, &Seen { version, modified, digest, size })?;
    }
    Ok((folder, downloaded))
}

async fn open(folder: TempDir, path: PathBuf) -> Result<Fetched> {
    blocking(move || {
        // No ignore file is at this place: those of a repository are a folder further down.
        let context = Context::open(folder.path(), &DockerfileSource::Text(String::new()))?;
        Ok(Fetched {
            files: Files::of_context(context, FileMemory::default())?,
            path,
            _folder: folder,
        })
    })
    .await
}

/// A file that was downloaded.
#[derive(Debug)]
pub(crate) struct Downloaded {
    version: WebVersion,
    pub(crate) digest: Digest,
    pub(crate) modified: Option<i64>,
}

/// Downloads a file into a folder of its own, under the name `name`.
pub(crate) async fn download(
    address: &str,
    name: &str,
    session: &Session,
) -> Result<(TempDir, Downloaded)> {
    let web = session.cancellable(get(address, session)).await?;
    save(web, address, name, session).await
}

fn client(session: &Session) -> Client {
    Client::new(&session.host, session.registries.clone(), session.credentials.clone())
}

async fn get(address: &str, session: &Session) -> Result<WebFile> {
    let web = client(session).web(address, &WebVersion::default()).await?;
    web.ok_or_else(|| Error::new(ErrorKind::Bug, "a file is as it was, and was never asked for"))
}

/// Makes a folder for one file, and returns the file's path too.
fn temporary(name: &str, session: &Session) -> Result<(TempDir, PathBuf)> {
    let temporary = session.host.temporary_folder();
    let folder = tempfile::Builder::new().prefix("boxwright-web-").tempdir_in(&temporary);
    let folder = folder.map_err(|error| cannot_write(&temporary, error))?;
    let path = folder.path().join(name);
    Ok((folder, path))
}

async fn save(
    web: WebFile,
    address: &str,
    name: &str,
    session: &Session,
) -> Result<(TempDir, Downloaded)> {
    let (folder, path) = temporary(name, session)?;
    let WebFile { version, modified, content } = web;
    let digest = session.cancellable(write(content, address, &path)).await?;
    Ok((folder, Downloaded { version, digest, modified }))
}

async fn write(mut content: ByteStream, address: &str, path: &Path) -> Result<Digest> {
    let fail = |error| cannot_write(path, error);
    let mut file = tokio::fs::File::create_new(path).await.map_err(fail)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = content.read(&mut buffer).await.map_err(|error| {
            let shown = without_credentials(address);
            Error::new(ErrorKind::Unavailable, format!("cannot download `{shown}`"))
                .with_source(error)
                .with_remedy("try again, or take the file from the context")
        })?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count]).await.map_err(fail)?;
    }
    file.flush().await.map_err(fail)?;
    Ok(Digest::from_sha256(hasher.finalize().into()))
}

fn cannot_write(path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Exhausted,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("cannot write `{}`", path.display())).with_source(error)
}
