//! Talks to the server; the only place that knows how requests and answers look on the wire.

pub(crate) mod wire;

use boxwright_core::{Error, ErrorKind, Host, Result};
use boxwright_http::http::{Method, Request, Response, StatusCode};
use boxwright_http::{Body, Client, Endpoint, Incoming, read_to_end};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::errors;
use wire::{Envelope, ServerInfo};

/// The longest answer that is taken whole: the list of all images of a busy server.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    Lxd,
    Incus,
}

impl Flavor {
    /// Returns its name, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lxd => "LXD",
            Self::Incus => "Incus",
        }
    }

    /// Returns the program that people command it with.
    pub(crate) fn client(self) -> &'static str {
        match self {
            Self::Lxd => "lxc",
            Self::Incus => "incus",
        }
    }
}

/// What the server says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) flavor: Flavor,
    pub(crate) info: ServerInfo,
}

impl Server {
    /// Returns the version that it reports.
    pub(crate) fn version(&self) -> &str {
        &self.info.environment.server_version
    }
}

/// Asks who answers at `endpoint`.
///
/// # Errors
///
/// As [`Client::request`]; [`ErrorKind::Unauthorized`] when it does not trust this client.
pub(crate) async fn identify(endpoint: &Endpoint, host: &Host) -> Result<Server> {
    let client = Client::new(endpoint.clone(), host.clone());
    let request = request(Method::GET, "/1.0", Body::empty())?;
    let (status, body) = whole(&client, request).await?;
    let answer: Envelope = parse(&body).map_err(|_| errors::not_lxd(endpoint, status))?;
    if answer.kind == "error" {
        return Err(errors::of_answer("cannot ask the server who it is", status, &answer.error));
    }
    let info: ServerInfo = value(answer.metadata)?;
    let flavor = match info.environment.server.as_str() {
        "incus" => Flavor::Incus,
        _ => Flavor::Lxd,
    };
    if info.auth != "trusted" {
        return Err(errors::not_trusted(endpoint));
    }
    Ok(Server { flavor, info })
}

/// A server that answered.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    http: Client,
    pub(crate) server: Server,
    /// The project that everything is in.
    project: Option<String>,
}

impl Api {
    pub(crate) fn new(
        endpoint: Endpoint,
        host: Host,
        server: Server,
        project: Option<String>,
    ) -> Self {
        Self { http: Client::new(endpoint, host), server, project }
    }

    /// Asks for a value. `what` is the message of an error, e.g. "cannot list the pools".
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, what: &str) -> Result<T> {
        let request = request(Method::GET, &self.address(path), Body::empty())?;
        let (status, body) = whole(&self.http, request).await?;
        let answer: Envelope = parse(&body)?;
        match answer.kind.as_str() {
            "sync" => value(answer.metadata),
            _ => Err(errors::of_answer(what, status, &answer.error)),
        }
    }

    /// Returns the address of `path` in the project.
    fn address(&self, path: &str) -> String {
        let Some(project) = &self.project else { return path.to_owned() };
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.append_pair("project", project).finish();
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("{path}{separator}{query}")
    }
}

fn request(method: Method, address: &str, body: Body) -> Result<Request<Body>> {
    let request = Request::builder().method(method).uri(address).body(body);
    request
        .map_err(|error| Error::new(ErrorKind::Bug, "cannot address a request").with_source(error))
}

async fn whole(http: &Client, request: Request<Body>) -> Result<(StatusCode, Bytes)> {
    let response: Response<Incoming> = http.request(request).await?;
    let status = response.status();
    Ok((status, read_to_end(response.into_body(), ANSWER_LIMIT).await?))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(not_read)
}

fn value<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(not_read)
}

fn not_read(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Protocol, "cannot read the server's answer").with_source(error)
}
