//! Where the context of a build comes from: a folder, a tar, an address, or nowhere.

use std::fs;
use std::path::{Path, PathBuf};

use boxwright_context::Context;
use boxwright_core::{
    BuildRequest, ContextSource, DockerfileSource, Error, ErrorKind, Result, Session,
};
use boxwright_dockerfile::git::{GitAddress, without_credentials};
use boxwright_image::unpack::unpack_context;
use boxwright_image::view;
use tempfile::TempDir;

use crate::git::{NamedBy, TREE, Wanted};
use crate::{archive, blocking, fetch};

/// The largest text that is taken for a Dockerfile: 10 MiB.
const LARGEST: u64 = 10 << 20;

/// A context, and the folder that it is in if that is gone with the build.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) context: Context,
    pub(crate) folder: Option<TempDir>,
}

/// Opens the context of a build.
pub(crate) async fn open(request: &BuildRequest, session: &Session) -> Result<Opened> {
    match &request.context {
        ContextSource::Folder(folder) => {
            let (folder, source) = (session.host.absolute(folder), request.dockerfile.clone());
            let context = blocking(move || Context::open(&folder, &source)).await?;
            Ok(Opened { context, folder: None })
        }
        ContextSource::Empty => {
            let folder = temporary(session)?;
            in_temporary(folder, PathBuf::new(), request.dockerfile.clone()).await
        }
        ContextSource::Tar => {
            let folder = temporary(session)?;
            let input = session.take_input()?;
            session.cancellable(unpack_context(input, folder.path())).await?;
            in_temporary(folder, PathBuf::new(), inside(&request.dockerfile)).await
        }
        ContextSource::Address(address) => at(address, &request.dockerfile, session).await,
    }
}

/// Opens the context at an address.
pub(crate) async fn at(
    address: &str,
    dockerfile: &DockerfileSource,
    session: &Session,
) -> Result<Opened> {
    match GitAddress::parse(address) {
        Some(git) => {
            let git = git.map_err(|error| {
                let message = format!("cannot build from `{}`", without_credentials(address));
                Error::new(ErrorKind::InvalidInput, message).with_source(error)
            })?;
            let wanted = Wanted {
                address: &git,
                commit: git.commit.as_deref(),
                keep_git_dir: git.keep_git_dir.unwrap_or_default(),
                by: NamedBy::User,
            };
            let checkout = wanted.check_out(session).await?;
            let tree = checkout.folder.path().join(TREE);
            // A link in the repository leads nowhere outside of it (threat 14).
            let link = |path: &Path| fs::read_link(tree.join(path)).ok();
            let found = view::follow(Path::new(&git.folder), link);
            let found = found.filter(|path| tree.join(path).is_dir()).ok_or_else(|| {
                let message = format!("there is no folder `{}`", git.folder);
                Error::new(ErrorKind::NotFound, message)
                    .with_cause(format!("the commit `{}` has none", checkout.commit))
                    .with_remedy("correct what follows the `:` of the address")
            })?;
            let folder = Path::new(TREE).join(found);
            in_temporary(checkout.folder, folder, inside(dockerfile)).await
        }
        None => from_web(address, dockerfile, session).await,
    }
}

async fn from_web(
    address: &str,
    dockerfile: &DockerfileSource,
    session: &Session,
) -> Result<Opened> {
    let wrong = |cause: &str| {
        let message = format!("cannot build from `{}`", without_credentials(address));
        Error::new(ErrorKind::InvalidInput, message).with_cause(cause.to_owned())
    };
    if !address.starts_with("http://") && !address.starts_with("https://") {
        return Err(wrong("it is an address of neither git nor HTTP").with_remedy(
            "name a folder, such as `.`, or an address such as `https://HOST/PATH.git`",
        ));
    }
    let (downloads, _) = fetch::download(address, "download", session).await?;
    let file = downloads.path().join("download");
    let open = || fs::File::open(&file).map_err(|error| unreadable(&file, error));
    if archive::is(open()?) {
        let folder = temporary(session)?;
        let content = Box::new(tokio::fs::File::from_std(open()?));
        session.cancellable(unpack_context(content, folder.path())).await?;
        return in_temporary(folder, PathBuf::new(), inside(dockerfile)).await;
    }
    if fs::metadata(&file).map_err(|error| unreadable(&file, error))?.len() > LARGEST {
        return Err(wrong("it is no tar, and too large for a Dockerfile"));
    }
    let text = fs::read(&file).map_err(|error| unreadable(&file, error))?;
    let text = String::from_utf8(text).map_err(|_| wrong("it is neither a tar nor a text"))?;
    if *dockerfile != DockerfileSource::Default {
        return Err(wrong("it is a Dockerfile, and another one was named")
            .with_remedy("leave out `--file`, or name the address of a tar"));
    }
    in_temporary(temporary(session)?, PathBuf::new(), DockerfileSource::Text(text)).await
}

async fn in_temporary(folder: TempDir, below: PathBuf, source: DockerfileSource) -> Result<Opened> {
    let path = folder.path().join(below);
    let context = blocking(move || Context::open(&path, &source)).await?;
    Ok(Opened { context, folder: Some(folder) })
}

/// Of a context that came from elsewhere, a Dockerfile's path is always one inside.
fn inside(source: &DockerfileSource) -> DockerfileSource {
    match source {
        DockerfileSource::Path(path) => {
            DockerfileSource::Path(path.strip_prefix("/").unwrap_or(path).to_owned())
        }
        other => other.clone(),
    }
}

fn temporary(session: &Session) -> Result<TempDir> {
    let folder = session.host.temporary_folder();
    let made = tempfile::Builder::new().prefix("boxwright-context-").tempdir_in(&folder);
    made.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot make a temporary folder").with_source(error)
    })
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let message = format!("cannot read `{}`", path.display());
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}
