//! Talks to the service; the only file that knows how requests and answers look on the wire.

use std::fmt;

use boxwright_core::{Error, ErrorKind, Host, Result};
use boxwright_http::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use boxwright_http::{Body, Client, Endpoint, HeldBody, Incoming, read_to_end};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::autostart::Service;
use crate::errors;
use crate::query::Address;
use crate::wire::Created;

/// The longest answer that is taken whole: the list of all images of a busy machine.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// What the service says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// Podman's version.
    pub(crate) version: Release,
    /// The version as it was reported.
    pub(crate) version_text: String,
    /// Buildah's version. Zero if the service does not tell.
    pub(crate) buildah: Release,
    /// Whether it runs as an ordinary user, as far as its socket shows.
    pub(crate) rootless: Option<bool>,
}

/// A version as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release(pub(crate) u32, pub(crate) u32, pub(crate) u32);

impl Release {
    /// Reads `4.3.1`, `5.0.0-dev`, or `1.28.2+ds1`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut numbers = text.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self(next(), next(), next())
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Who answers at an endpoint.
#[derive(Debug)]
pub(crate) enum Identity {
    Podman(Server),
    /// Something else.
    Other,
}

/// Asks who answers at `endpoint`.
///
/// Only the head of a ping is looked at: `version` and `info` run other programs and took half a second on Debian 12.
pub(crate) async fn identify(endpoint: &Endpoint, host: &Host) -> Result<Identity> {
    let http = Client::new(endpoint.clone(), host.clone());
    let request = Request::get("/_ping").body(Body::empty());
    let request = request.map_err(|error| {
        Error::new(ErrorKind::Bug, "cannot address a request").with_source(error)
    })?;
    let response = http.request(request).await?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(version) = header("libpod-api-version") else {
        let status = response.status();
        if status.is_server_error() {
            let body = read_to_end(response.into_body(), ANSWER_LIMIT).await?;
            return Err(errors::of_answer("cannot ask the service who it is", status, &body));
        }
        return Ok(Identity::Other);
    };
    let release = Release::parse(version);
    if release < Release(4, 0, 0) {
        return Err(Error::new(ErrorKind::Unavailable, format!("Podman {release} is too old"))
            .with_cause("its API lacks what a build needs")
            .with_remedy("update Podman to version 4.0 or newer"));
    }
    Ok(Identity::Podman(Server {
        version: release,
        version_text: version.to_owned(),
        buildah: Release::parse(header("libpod-buildah-version").unwrap_or_default()),
        rootless: rootless(endpoint),
    }))
}

/// Tells by the socket whether a service is rootless: it belongs to the user who runs the service.
fn rootless(endpoint: &Endpoint) -> Option<bool> {
    match endpoint {
        Endpoint::Unix { path } => {
            use std::os::unix::fs::MetadataExt as _;
            Some(path.metadata().ok()?.uid() != 0)
        }
        Endpoint::Ssh { path: Some(path), .. } if path.starts_with("/run/user") => Some(true),
        Endpoint::Ssh { path: Some(path), .. } if path.starts_with("/run/podman") => Some(false),
        Endpoint::Ssh { .. } | Endpoint::Tcp { .. } | Endpoint::Tls { .. } => None,
    }
}

/// Asks for the storage driver. It is told by any image; a store that has none does not tell.
pub(crate) async fn storage_driver(endpoint: &Endpoint, host: &Host) -> Option<String> {
    let http = Client::new(endpoint.clone(), host.clone());
    let (_, body) =
        whole(&http, get_request(&Address::libpod(&["images/json"])).ok()?).await.ok()?;
    let images: Vec<Created> = parse(&body).ok()?;
    let address = Address::libpod(&["images/", &images.first()?.id, "/json"]);
    let (_, body) = whole(&http, get_request(&address).ok()?).await.ok()?;
    parse::<podman_api_stubs::models::ImageData>(&body).ok()?.graph_driver?.name
}

/// A service that answered.
#[derive(Debug)]
pub(crate) struct Api {
    http: Client,
    pub(crate) server: Server,
    /// Where this process started the service itself. It ends with this value.
    _service: Option<Service>,
}

impl Api {
    pub(crate) fn new(
        endpoint: Endpoint,
        host: Host,
        server: Server,
        service: Option<Service>,
    ) -> Self {
        Self { http: Client::new(endpoint, host), server, _service: service }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.http.endpoint()
    }

    /// Returns a client of the same service, for calls in Docker's language.
    pub(crate) fn http(&self) -> Client {
        self.http.clone()
    }

    /// Asks for a value. `what` is the message of an error, e.g. "cannot inspect `a`".
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        address: &Address,
        what: &str,
    ) -> Result<T> {
        self.ask(get_request(address)?, what).await
    }

    /// Sends a request with `body` and reads the answer as a value.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        address: &Address,
        body: &(impl Serialize + Sync),
        what: &str,
    ) -> Result<T> {
        self.ask(json_request(Method::POST, address, body)?, what).await
    }

    /// Sends a request without a body and does not look at what a good answer says.
    pub(crate) async fn act(&self, method: Method, address: &Address, what: &str) -> Result<()> {
        let (status, body) = whole(&self.http, request(method, address, Body::empty())?).await?;
        // Starting what runs already is no failure.
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(());
        }
        Err(errors::of_answer(what, status, &body))
    }

    /// Sends any request and reads the answer as a value.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        request: Request<Body>,
        what: &str,
    ) -> Result<T> {
        let (status, body) = whole(&self.http, request).await?;
        if !status.is_success() {
            return Err(errors::of_answer(what, status, &body));
        }
        parse(&body)
    }

    /// Sends any request and returns the answer as it comes. Dropping it closes the connection.
    pub(crate) async fn stream(
        &self,
        request: Request<Body>,
        what: &str,
    ) -> Result<Response<HeldBody>> {
        let response = self.http.hold(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = read_to_end(response.into_body(), ANSWER_LIMIT).await?;
        Err(errors::of_answer(what, status, &body))
    }

    /// Switches a connection to a raw stream.
    pub(crate) async fn upgrade(&self, address: &Address) -> Result<boxwright_http::Connection> {
        self.http.upgrade(request(Method::POST, address, Body::empty())?, "tcp").await
    }
}

/// Makes a request.
pub(crate) fn request(method: Method, address: &Address, body: Body) -> Result<Request<Body>> {
    let request = Request::builder().method(method).uri(address.as_str()).body(body);
    request
        .map_err(|error| Error::new(ErrorKind::Bug, "cannot address a request").with_source(error))
}

fn get_request(address: &Address) -> Result<Request<Body>> {
    request(Method::GET, address, Body::empty())
}

fn json_request(method: Method, address: &Address, body: &impl Serialize) -> Result<Request<Body>> {
    let mut request = request(method, address, Body::json(body)?)?;
    let kind = HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(request)
}

async fn whole(http: &Client, request: Request<Body>) -> Result<(StatusCode, Bytes)> {
    let response: Response<Incoming> = http.request(request).await?;
    let status = response.status();
    Ok((status, read_to_end(response.into_body(), ANSWER_LIMIT).await?))
}

/// Reads JSON of the service.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::new(ErrorKind::Protocol, "cannot read the service's answer").with_source(error)
    })
}
