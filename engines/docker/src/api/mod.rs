//! Talks to the daemon: the only folder that knows its protocol.
//!
//! `bollard` makes the requests whose answers it models whole. Builds and pushes go over the same
//! endpoint directly, since its models leave out the exit status, layer ids and digests.

mod containers;
mod messages;

use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::models::{CreateImageInfo, ImageDeleteResponseItem, ImageInspect, ImageSummary};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ImportImageOptionsBuilder, ListImagesOptionsBuilder,
    RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use boxwright_core::{ByteStream, Credential, Error, ErrorKind, Host, ImageRef, Platform, Result};
use boxwright_http::http::{Method, Request};
use boxwright_http::{Body, Client, Endpoint};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use tokio_util::io::{ReaderStream, StreamReader};

use crate::server::{Server, is_podman};
use crate::{auth, errors};

pub(crate) use containers::Container;
#[cfg(test)]
pub(crate) use messages::parse;
pub(crate) use messages::{Message, Messages};

/// How long the daemon has for the head of an answer: some it sends only when all work is done.
const LIMIT: Duration = Duration::from_secs(3600);

const NAME_A_DAEMON: &str = "name the socket or the port of a Docker daemon";

/// A connection to one daemon. Nothing is connected until something is asked.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    /// The same endpoint, for what `bollard` does not model.
    pub(crate) http: Client,
    docker: Docker,
}

/// Who answers at an endpoint.
#[derive(Debug)]
pub(crate) enum Identity {
    Docker(Box<Server>),
    Podman,
}

impl Api {
    /// Returns a connection to the daemon at `endpoint`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Bug`] when `bollard` refuses its settings.
    pub(crate) fn new(endpoint: Endpoint, host: Host) -> Result<Self> {
        let http = Client::new(endpoint, host);
        let client = http.clone();
        let transport = move |request: BollardRequest| {
            let client = client.clone();
            async move {
                // Our error goes through as it is, and comes out again in `errors::failed`.
                let sent = client.request(request).await;
                sent.map_err(|error| BollardError::IOError { err: std::io::Error::other(error) })
            }
        };
        let seconds = LIMIT.as_secs();
        let docker = Docker::connect_with_custom_transport(
            transport,
            Some("http://localhost"),
            seconds,
            API_DEFAULT_VERSION,
        );
        let docker = docker.map_err(|error| {
            Error::new(ErrorKind::Bug, "cannot make a client of the daemon").with_source(error)
        })?;
        Ok(Self { http, docker: docker.with_request_modifier(auth::in_base64url) })
    }

    /// Returns the connection, limited to what the daemon's version of the API has.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the daemon is gone.
    pub(crate) async fn negotiated(self) -> Result<Self> {
        let docker = self.docker.negotiate_version().await;
        let docker = docker.map_err(|error| errors::failed("cannot agree on an API", error))?;
        Ok(Self { http: self.http, docker })
    }

    /// Asks the daemon who it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when nothing answers, [`ErrorKind::Protocol`] when it is no daemon.
    pub(crate) async fn identify(&self) -> Result<Identity> {
        let what = format!("cannot ask `{}` who it is", self.http.endpoint());
        let failed = |error| {
            let error = errors::failed(what.as_str(), error);
            error.or_remedy(NAME_A_DAEMON)
        };
        let ping = self.http.request(request(Method::GET, "/_ping")?).await;
        let ping = ping.map_err(|error| error.or_remedy(NAME_A_DAEMON))?;
        let header = |name: &str| ping.headers().get(name).and_then(|value| value.to_str().ok());
        // Podman takes a second and more for its version, and is not ours.
        if header("libpod-api-version").is_some() {
            return Ok(Identity::Podman);
        }
        let (version, info) = tokio::join!(self.docker.version(), self.docker.info());
        let version = version.map_err(failed)?;
        if is_podman(&version) {
            return Ok(Identity::Podman);
        }
        let server = Server::of(version, info.map_err(failed)?, header("builder-version"));
        Ok(Identity::Docker(Box::new(server)))
    }

    /// Returns what the image `name` is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is none.
    pub(crate) async fn inspect(&self, name: &str) -> Result<ImageInspect> {
        let answer = self.docker.inspect_image(name).await;
        answer.map_err(|error| errors::failed(format!("cannot find the image `{name}`"), error))
    }

    /// Returns the images that are not intermediate.
    pub(crate) async fn list(&self) -> Result<Vec<ImageSummary>> {
        let options = ListImagesOptionsBuilder::default().build();
        let answer = self.docker.list_images(Some(options)).await;
        answer.map_err(|error| errors::failed("cannot list the images", error))
    }

    /// Gives the image `name` the name `new`.
    pub(crate) async fn tag(&self, name: &str, new: &ImageRef) -> Result<()> {
        let tag = new.tag().unwrap_or("latest");
        let options = TagImageOptionsBuilder::default().repo(&new.name()).tag(tag).build();
        let answer = self.docker.tag_image(name, Some(options)).await;
        answer.map_err(|error| errors::failed(format!("cannot name an image `{new}`"), error))
    }

    /// Removes the name or the image `name`.
    pub(crate) async fn remove(
        &self,
        name: &str,
        force: bool,
    ) -> Result<Vec<ImageDeleteResponseItem>> {
        let options = RemoveImageOptionsBuilder::default().force(force).build();
        let answer = self.docker.remove_image(name, Some(options), None).await;
        answer.map_err(|error| errors::failed(format!("cannot remove `{name}`"), error))
    }

    /// Pulls `image`, and returns how it goes. The pull ends when the stream is dropped.
    pub(crate) fn pull(
        &self,
        image: &ImageRef,
        platform: Option<&Platform>,
        credential: Option<&Credential>,
    ) -> Result<impl Stream<Item = Result<CreateImageInfo>> + Send + use<>> {
        let name = image.name();
        let options = CreateImageOptionsBuilder::default()
            .from_image(&name)
            .tag(image.manifest_name())
            .platform(&platform.map(ToString::to_string).unwrap_or_default())
            .build();
        let host = image.registry();
        let credentials = credential.map(|known| auth::credentials(host, known)).transpose()?;
        let (what, asked) = (format!("cannot pull `{image}`"), image.clone());
        let answers = self.docker.create_image(Some(options), None, credentials);
        Ok(answers.map_err(move |error| match error {
            BollardError::DockerResponseServerError { message, .. } => {
                errors::registry_failed(what.as_str(), &asked, &message)
            }
            BollardError::DockerStreamError { error } => {
                errors::registry_failed(what.as_str(), &asked, &error)
            }
            error => errors::failed(what.as_str(), error),
        }))
    }

    /// Returns the image `name` as an archive, as `docker save` writes it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is none.
    pub(crate) async fn save(&self, name: &str) -> Result<ByteStream> {
        let what = format!("cannot save the image `{name}`");
        let mut chunks = self.docker.export_image(name).boxed();
        // The first chunk tells whether there is an image at all.
        let first = chunks.next().await.transpose();
        let first = first.map_err(|error| errors::failed(what, error))?;
        let chunks = futures_util::stream::iter(first.map(Ok)).chain(chunks);
        Ok(Box::new(StreamReader::new(chunks.map_err(std::io::Error::other))))
    }

    /// Loads the images of `archive`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Exhausted`] when the daemon's disk is full.
    pub(crate) async fn load(&self, archive: ByteStream) -> Result<()> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let body = bollard::body_try_stream(ReaderStream::with_capacity(archive, 1 << 18));
        let mut answers = self.docker.import_image(options, body, None).boxed();
        while let Some(answer) = answers.next().await {
            answer
                .map_err(|error| errors::failed("cannot load the image into the daemon", error))?;
        }
        Ok(())
    }

    /// Starts a call that reports how it goes until it is done.
    ///
    /// # Errors
    ///
    /// What `refused` makes of an answer with another status than 200.
    pub(crate) async fn call(
        &self,
        request: Request<Body>,
        refused: impl FnOnce(u16, &str) -> Error + Send,
    ) -> Result<Messages> {
        let answer = self.http.hold(request).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Messages::new(answer.into_body()));
        }
        let words = boxwright_http::read_to_end(answer.into_body(), 1 << 20).await?;
        let message: Option<Refusal> = serde_json::from_slice(&words).ok();
        let text = String::from_utf8_lossy(&words);
        Err(refused(status.as_u16(), message.as_ref().map_or(&*text, |found| &found.message)))
    }
}

/// What the daemon answers with every status that is no success.
#[derive(serde::Deserialize)]
struct Refusal {
    message: String,
}

/// Returns a request without a body.
fn request(method: Method, path: &str) -> Result<Request<Body>> {
    request_with(method, path, Body::empty())
}

/// Returns a request with a body.
///
/// # Errors
///
/// [`ErrorKind::Bug`] for a path that is none.
pub(crate) fn request_with(method: Method, path: &str, body: Body) -> Result<Request<Body>> {
    Request::builder().method(method).uri(path).body(body).map_err(|error| {
        Error::new(ErrorKind::Bug, "cannot write a request to the daemon").with_source(error)
    })
}
