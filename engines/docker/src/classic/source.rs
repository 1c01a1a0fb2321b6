//! What a classic build is sent: the context as a tar, or an address.

use std::io::Write as _;
use std::path::Path;

use boxwright_context::{Context, TarOptions};
use boxwright_core::{
    BuildRequest, ContextSource, DockerfileSource, Error, ErrorKind, Result, Session,
};
use boxwright_http::Body;
use boxwright_image::tar::{Header, Kind, Writer};

/// The name of a Dockerfile that was not given one.
const DOCKERFILE: &str = "Dockerfile";

/// What a build is sent.
#[derive(Debug)]
pub(super) struct Source {
    body: Body,
    dockerfile: String,
    address: Option<String>,
    text: Option<String>,
}

/// Opens what `request` names.
///
/// # Errors
///
/// As [`Context::open`]; [`ErrorKind::Unsupported`] for a Dockerfile that cannot be put beside its context.
pub(super) fn of(request: &BuildRequest, session: &Session) -> Result<Source> {
    match &request.context {
        ContextSource::Folder(folder) => folder_source(folder, request),
        ContextSource::Tar => {
            let dockerfile = path_inside(&request.dockerfile)?;
            let body = Body::reader(session.take_input()?);
            Ok(Source { body, dockerfile, address: None, text: None })
        }
        ContextSource::Address(address) => {
            check_address(address)?;
            let dockerfile = path_inside(&request.dockerfile)?;
            let address = Some(address.clone());
            Ok(Source { body: Body::empty(), dockerfile, address, text: None })
        }
        ContextSource::Empty => match &request.dockerfile {
            DockerfileSource::Text(text) => Ok(Source {
                body: Body::bytes(tar_of(text)?),
                dockerfile: DOCKERFILE.to_owned(),
                address: None,
                text: Some(text.clone()),
            }),
            DockerfileSource::Default | DockerfileSource::Path(_) => {
                Err(Error::new(ErrorKind::InvalidInput, "there is no Dockerfile")
                    .with_cause("a build without a context needs its text"))
            }
        },
    }
}

impl Source {
    /// Returns the Dockerfile's text, where it is known.
    pub(super) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Returns the Dockerfile's path in what is sent.
    pub(super) fn dockerfile(&self) -> &str {
        &self.dockerfile
    }

    /// Returns the address that the daemon fetches the context from.
    pub(super) fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Returns what is sent, read while it is sent.
    pub(super) fn into_body(self) -> Body {
        self.body
    }
}

fn folder_source(folder: &Path, request: &BuildRequest) -> Result<Source> {
    let context = Context::open(folder, &request.dockerfile)?;
    let text = Some(context.dockerfile_text().to_owned());
    let tar = context.tar(TarOptions::default());
    let dockerfile = tar.dockerfile_name().to_owned();
    Ok(Source { body: Body::reader(tar), dockerfile, address: None, text })
}

/// Returns the path of a Dockerfile that is in the context itself.
fn path_inside(dockerfile: &DockerfileSource) -> Result<String> {
    match dockerfile {
        DockerfileSource::Default => Ok(DOCKERFILE.to_owned()),
        DockerfileSource::Path(path) if path.is_relative() => {
            Ok(path.to_string_lossy().into_owned())
        }
        DockerfileSource::Path(_) | DockerfileSource::Text(_) => Err(Error::new(
            ErrorKind::Unsupported,
            "cannot build by a Dockerfile that is not in the context",
        )
        .with_cause("the classic builder takes a context that comes as a whole as it is")
        .with_remedy("put the Dockerfile into the context, or build with `--builder buildkit`")),
    }
}

/// Lets only addresses pass that the daemon fetches by network (threat 15).
fn check_address(address: &str) -> Result<()> {
    let schemes = ["https://", "http://", "git://", "git@", "ssh://"];
    if schemes.iter().any(|scheme| address.starts_with(scheme)) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidInput, format!("cannot build from `{address}`"))
        .with_cause("it is no address of a git repository or of an archive")
        .with_remedy("write it as `https://HOST/REPOSITORY.git#BRANCH:FOLDER`"))
}

/// Returns a context of nothing but a Dockerfile.
fn tar_of(text: &str) -> Result<Vec<u8>> {
    let write = || -> std::io::Result<Vec<u8>> {
        let mut tar = Writer::new(Vec::new());
        let kind = Kind::File { size: text.len() as u64 };
        tar.file(&Header::new(DOCKERFILE, kind, 0o644), &mut text.as_bytes())?;
        let mut bytes = tar.finish()?;
        bytes.flush()?;
        Ok(bytes)
    };
    write().map_err(|error| {
        Error::new(ErrorKind::Bug, "cannot write a Dockerfile into a tar").with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::Host;

    fn session() -> Session {
        Session::new(Host::with_variables("/", [("A", "b")]))
    }

    #[test]
    fn only_addresses_of_the_network_are_fetched_threat_15() {
        for (address, allowed) in [
            ("https://a.example/x.git", true),
            ("git@a.example:x.git", true),
            ("--upload-pack=evil", false),
            ("file:///etc", false),
            ("ext::sh -c evil", false),
        ] {
            let request = BuildRequest::new(ContextSource::Address(address.into()));
            assert_eq!(of(&request, &session()).is_ok(), allowed, "{address}");
        }
    }

    #[test]
    fn a_dockerfile_elsewhere_is_refused_where_it_cannot_go_along() {
        let mut request = BuildRequest::new(ContextSource::Tar);
        for dockerfile in
            [DockerfileSource::Text("FROM scratch".into()), DockerfileSource::Path("/a".into())]
        {
            request.dockerfile = dockerfile;
            assert_eq!(of(&request, &session()).unwrap_err().kind(), ErrorKind::Unsupported);
        }
        request.dockerfile = DockerfileSource::Path("sub/Dockerfile".into());
        let session = session().with_input(Box::new(tokio::io::empty()));
        assert_eq!(of(&request, &session).unwrap().dockerfile(), "sub/Dockerfile");
    }

    #[test]
    fn a_dockerfile_alone_is_a_context_of_one_file() {
        let mut request = BuildRequest::new(ContextSource::Empty);
        assert_eq!(of(&request, &session()).unwrap_err().kind(), ErrorKind::InvalidInput);
        request.dockerfile = DockerfileSource::Text("FROM scratch\n".into());
        let source = of(&request, &session()).unwrap();
        assert_eq!((source.dockerfile(), source.text()), ("Dockerfile", Some("FROM scratch\n")));
        let tar = tar_of("FROM scratch\n").unwrap();
        assert_eq!(tar.len() % 512, 0);
        assert_eq!(&tar[..10], b"Dockerfile");
    }
}
