//! The context of a build, as it is sent to the service.

use std::path::Path;

use boxwright_context::{Context, EntryKind, TarOptions};
use boxwright_core::{
    BuildRequest, ContextSource, DockerfileSource, Error, ErrorKind, Result, Session,
};
use boxwright_http::Body;
use tempfile::TempDir;

use crate::interrupt::Mark;
use crate::upload;

/// No file has this name. Sent where nothing is excluded, since the service would look for an ignore file itself.
const NO_FILE: &str = ".boxwright.none";

/// The context as it is sent.
pub(crate) struct Sent {
    pub(crate) body: Body,
    /// The Dockerfile's name in what is sent.
    pub(crate) dockerfile: Option<String>,
    /// Where the service fetches the context itself.
    pub(crate) remote: Option<String>,
    /// What `COPY .` leaves out though it is sent.
    pub(crate) excludes: Vec<String>,
    /// The names that secrets have in what is sent, by id.
    pub(crate) secrets: Vec<(String, String)>,
    /// The text of the Dockerfile, where it is known.
    pub(crate) text: Option<String>,
    /// Kept until the context is sent.
    _folder: Option<TempDir>,
}

impl Sent {
    pub(crate) async fn open(wanted: &BuildRequest, session: &Session) -> Result<Self> {
        match &wanted.context {
            ContextSource::Folder(folder) => Self::folder(folder, None, wanted, session).await,
            ContextSource::Empty => {
                let folder = temporary_folder(session)?;
                let path = folder.path().to_owned();
                Self::folder(&path, Some(folder), wanted, session).await
            }
            ContextSource::Tar => Self::tar(wanted, session),
            ContextSource::Address(address) => Self::address(address, wanted),
        }
    }

    async fn folder(
        folder: &Path,
        temporary: Option<TempDir>,
        wanted: &BuildRequest,
        session: &Session,
    ) -> Result<Self> {
        let (path, dockerfile) = (folder.to_owned(), wanted.dockerfile.clone());
        let opened = tokio::task::spawn_blocking(move || Context::open(&path, &dockerfile)).await;
        let context = opened.map_err(|error| {
            Error::new(ErrorKind::Bug, "cannot read the context").with_source(error)
        })??;
        let tar = context.tar(TarOptions::default());
        let name = tar.dockerfile_name().to_owned();
        let mut excludes = context.exclude_patterns().to_vec();
        if name != context.dockerfile_name() || !context.dockerfile_is_inside() {
            // What comes along with a Dockerfile from elsewhere is no file of the user's.
            excludes.push(name.clone());
            if folder.join(".dockerignore").symlink_metadata().is_err() {
                excludes.push(".dockerignore".to_owned());
            }
        }
        if excludes.is_empty() {
            excludes.push(NO_FILE.to_owned());
        }
        let secrets = secret_names(wanted)?;
        if !secrets.is_empty() {
            let walked = context.clone();
            let looked = tokio::task::spawn_blocking(move || refuse_links_outside(&walked)).await;
            looked.map_err(|error| {
                Error::new(ErrorKind::Bug, "cannot read the context").with_source(error)
            })??;
        }
        let body = if secrets.is_empty() {
            Body::reader(tar)
        } else {
            let values = secrets
                .iter()
                .filter_map(|(id, name)| Some((name.as_str(), session.secrets.get(id)?)));
            Body::reader(upload::Extended::new(tar, upload::entries(values)?))
        };
        let text = Some(context.dockerfile_text().to_owned());
        Ok(Self {
            body,
            dockerfile: Some(name),
            remote: None,
            excludes,
            secrets,
            text,
            _folder: temporary,
        })
    }

    /// Hands a tar on as it is. The service knows how to unpack it, and reads its ignore file.
    fn tar(wanted: &BuildRequest, session: &Session) -> Result<Self> {
        let dockerfile = match &wanted.dockerfile {
            DockerfileSource::Default => None,
            DockerfileSource::Path(path) => Some(path.display().to_string()),
            DockerfileSource::Text(_) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "cannot build a tar by a Dockerfile that is not in it",
                )
                .with_remedy("put the Dockerfile into the tar, and name it with `--file`"));
            }
        };
        if !wanted.secrets.is_empty() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "cannot hand secrets over together with a tar",
            )
            .with_cause("Podman takes them as a part of the context")
            .with_remedy("unpack the tar, and build the folder"));
        }
        Ok(Self {
            body: Body::reader(session.take_input()?),
            dockerfile,
            remote: None,
            excludes: Vec::new(),
            secrets: Vec::new(),
            text: None,
            _folder: None,
        })
    }

    fn address(address: &str, wanted: &BuildRequest) -> Result<Self> {
        let shown = address.split('#').next().unwrap_or_default();
        // Anything else the service would take for a path on its own machine.
        let schemes = ["https://", "http://", "git://"];
        if !schemes.iter().any(|scheme| address.starts_with(scheme)) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("cannot build from `{shown}`"),
            )
            .with_cause("it is no address of a git repository or of a tar")
            .with_remedy("write it as `https://HOST/REPOSITORY.git#BRANCH`"));
        }
        let unsupported = |cause: &str, remedy: &'static str| {
            Err(Error::new(ErrorKind::Unsupported, format!("cannot build from `{shown}`"))
                .with_cause(cause)
                .with_remedy(remedy))
        };
        if wanted.dockerfile != DockerfileSource::Default {
            let remedy = "clone the repository, and build the folder";
            return unsupported("Podman takes the Dockerfile at its root, and no other", remedy);
        }
        if !wanted.secrets.is_empty() {
            let remedy = "clone the repository, and build the folder";
            return unsupported(
                "Podman takes secrets together with a context from here only",
                remedy,
            );
        }
        Ok(Self {
            body: Body::bytes(vec![0; 1024]),
            dockerfile: None,
            remote: Some(address.to_owned()),
            excludes: Vec::new(),
            secrets: Vec::new(),
            text: None,
            _folder: None,
        })
    }
}

fn temporary_folder(session: &Session) -> Result<TempDir> {
    let folder =
        tempfile::Builder::new().prefix("boxwright-").tempdir_in(session.host.temporary_folder());
    folder.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot make a temporary folder")
            .with_source(error)
            .with_remedy("name another one by `TMPDIR`")
    })
}

/// Fails if the context has a link that the service would not unpack.
///
/// QUIRK(podman 4.3): it keeps what it received when it cannot unpack it, and the secrets would be there.
fn refuse_links_outside(context: &Context) -> Result<()> {
    for entry in context.walk() {
        let entry = entry?;
        if let EntryKind::Symlink { target } = &entry.kind
            && leads_outside(&entry.path, target)
        {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "cannot hand secrets over with this context",
            )
            .with_cause(format!(
                "its link `{}` leads out of it, which Podman does not unpack",
                entry.path
            ))
            .with_remedy("name the link in `.dockerignore`"));
        }
    }
    Ok(())
}

/// Whether a link at `path` climbs out of the context by its text alone. An absolute one is taken for one below the
/// context, as the service takes it.
fn leads_outside(path: &str, target: &str) -> bool {
    let mut depth = path.split('/').count() - 1;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

/// Returns the ids of the secrets with the names that they are sent under.
fn secret_names(wanted: &BuildRequest) -> Result<Vec<(String, String)>> {
    let mut names = Vec::new();
    let mark = Mark::new();
    for (index, id) in wanted.secrets.iter().enumerate() {
        if id.contains([',', '=']) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("`{id}` is not an id for a secret"),
            )
            .with_cause("Podman takes none with `,` or `=`"));
        }
        names.push((id.clone(), format!(".boxwright.{}.secret.{index}", mark.text())));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_judged_by_its_text_as_the_service_judges_it() {
        for (path, target, expected) in [
            ("link", "file", false),
            ("link", "../file", true),
            ("a/link", "../file", false),
            ("a/link", "../../file", true),
            ("a/link", "b/../../../file", true),
            ("link", "/etc/passwd", false),
            ("link", "./a/..", false),
        ] {
            assert_eq!(leads_outside(path, target), expected, "{path} -> {target}");
        }
    }

    #[test]
    fn only_what_is_no_path_on_the_services_machine_is_sent_as_an_address() {
        for bad in ["/etc", "./x", "file:///etc", "git@host:x", "-x", "ssh://host/x"] {
            let wanted = BuildRequest::new(ContextSource::Address(bad.to_owned()));
            let error = Sent::address(bad, &wanted).err().map(|error| error.kind());
            assert_eq!(error, Some(ErrorKind::InvalidInput), "{bad}");
        }
        let good = "https://github.com/acme/api.git#main:sub";
        let wanted = BuildRequest::new(ContextSource::Address(good.to_owned()));
        assert_eq!(Sent::address(good, &wanted).unwrap().remote.as_deref(), Some(good));
    }
}
