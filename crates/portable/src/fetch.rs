//! Files that `ADD` takes from elsewhere: of the web, and of git repositories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use boxwright_context::Context;
use boxwright_core::{Digest, DockerfileSource, Error, ErrorKind, Result, Session};
use boxwright_dockerfile::plan::{CopyItem, CopyStep};
use boxwright_registry::Client;
use sha2::Digest as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::blocking;
use crate::files::Files;
use crate::git::{NamedBy, TREE, Wanted};
use crate::memory::FileMemory;

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
pub(crate) async fn fetch(step: &CopyStep, session: &Session) -> Result<AllFetched> {
    let mut all = BTreeMap::new();
    for (number, item) in step.items.iter().enumerate() {
        let fetched = match item {
            CopyItem::Url { address, name } => {
                file(address, name, step.checksum.as_deref(), session).await?
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
    session: &Session,
) -> Result<Fetched> {
    let (folder, downloaded) = download(address, name, session).await?;
    if let Some(expected) = checksum.filter(|expected| *expected != downloaded.digest.as_str()) {
        let shown = boxwright_dockerfile::git::without_credentials(address);
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
    pub(crate) digest: Digest,
    pub(crate) modified: Option<i64>,
}

/// Downloads a file into a folder of its own, under the name `name`.
pub(crate) async fn download(
    address: &str,
    name: &str,
    session: &Session,
) -> Result<(TempDir, Downloaded)> {
    let registries = (session.registries.clone(), session.credentials.clone());
    let client = Client::new(&session.host, registries.0, registries.1);
    let temporary = session.host.temporary_folder();
    let folder = tempfile::Builder::new().prefix("boxwright-web-").tempdir_in(&temporary);
    let folder = folder.map_err(|error| cannot_write(&temporary, error))?;
    let path = folder.path().join(name);
    let downloaded = session.cancellable(write(&client, address, &path)).await?;
    Ok((folder, downloaded))
}

async fn write(client: &Client, address: &str, path: &Path) -> Result<Downloaded> {
    let mut web = client.web(address).await?;
    let fail = |error| cannot_write(path, error);
    let mut file = tokio::fs::File::create_new(path).await.map_err(fail)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = web.content.read(&mut buffer).await.map_err(|error| {
            let shown = boxwright_dockerfile::git::without_credentials(address);
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
    let digest = Digest::from_sha256(hasher.finalize().into());
    Ok(Downloaded { digest, modified: web.modified })
}

fn cannot_write(path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Exhausted,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("cannot write `{}`", path.display())).with_source(error)
}
