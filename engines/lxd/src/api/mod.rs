//! Talks to the server; the only place that knows how requests and answers look on the wire.

pub(crate) mod exec;
pub(crate) mod wire;

use boxwright_core::{Error, ErrorKind, Host, Result};
use boxwright_http::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use boxwright_http::{Body, Client, Endpoint, Incoming, read_to_end};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::errors;
use wire::{Alias, Envelope, Operation, ServerInfo};

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

    /// Returns what its own headers begin with.
    fn header(self) -> &'static str {
        match self {
            Self::Lxd => "x-lxd-",
            Self::Incus => "x-incus-",
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
    host: Host,
    pub(crate) server: Server,
    /// The project that everything is in.
    project: Option<String>,
}

/// What a request came to.
#[derive(Debug)]
pub(crate) enum Answer {
    Value(Value),
    /// It goes on, under this path.
    Operation {
        path: String,
        metadata: Value,
    },
}

impl Api {
    pub(crate) fn new(
        endpoint: Endpoint,
        host: Host,
        server: Server,
        project: Option<String>,
    ) -> Self {
        Self { http: Client::new(endpoint, host.clone()), host, server, project }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.http.endpoint()
    }

    /// Asks for a value. `what` is the message of an error, e.g. "cannot read the pools of LXD".
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, what: &str) -> Result<T> {
        let request = request(Method::GET, &self.address(path, &[]), Body::empty())?;
        match self.answer(request, what).await? {
            Answer::Value(found) => value(found),
            Answer::Operation { .. } => Err(unexpected(what)),
        }
    }

    /// Sends `body` and waits for what it starts.
    pub(crate) async fn act(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: &(impl Serialize + Sync),
        what: &str,
    ) -> Result<Value> {
        let request = json_request(method, &self.address(path, query), body)?;
        let answer = self.answer(request, what).await?;
        self.finish(answer, what).await
    }

    /// Deletes what is at `path`, and waits until it is gone. Nothing being there is no failure.
    pub(crate) async fn delete(&self, path: &str, what: &str) -> Result<()> {
        let request = request(Method::DELETE, &self.address(path, &[]), Body::empty())?;
        let answer = match self.answer(request, what).await {
            Ok(answer) => answer,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        self.finish(answer, what).await.map(drop)
    }

    /// Sends a unified image, and returns its fingerprint. `properties` go with it.
    pub(crate) async fn add_image(&self, body: Body, what: &str) -> Result<String> {
        let mut request = request(Method::POST, &self.address("/1.0/images", &[]), body)?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let name = format!("{}filename", self.server.flavor.header());
        if let Ok(name) = header::HeaderName::from_bytes(name.as_bytes()) {
            headers.insert(name, HeaderValue::from_static("boxwright.tar"));
        }
        let answer = self.answer(request, what).await?;
        let made = self.finish(answer, what).await?;
        let fingerprint = made.get("fingerprint").and_then(Value::as_str);
        fingerprint.map(str::to_owned).ok_or_else(|| unexpected(what))
    }

    /// Returns what the alias `name` points at, or `None` if there is none.
    pub(crate) async fn alias(&self, name: &str, what: &str) -> Result<Option<Alias>> {
        match self.get(&format!("/1.0/images/aliases/{name}"), what).await {
            Ok(alias) => Ok(Some(alias)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds an alias.
    pub(crate) async fn add_alias(&self, alias: &Alias, what: &str) -> Result<()> {
        self.act(Method::POST, "/1.0/images/aliases", &[], alias, what).await.map(drop)
    }

    /// Has an alias that is there point at another image.
    pub(crate) async fn set_alias(&self, alias: &Alias, what: &str) -> Result<()> {
        let path = format!("/1.0/images/aliases/{}", alias.name);
        self.act(Method::PUT, &path, &[], alias, what).await.map(drop)
    }

    async fn answer(&self, request: Request<Body>, what: &str) -> Result<Answer> {
        let (status, body) = whole(&self.http, request).await?;
        let answer: Envelope = parse(&body)?;
        match answer.kind.as_str() {
            "sync" => Ok(Answer::Value(answer.metadata)),
            "async" => Ok(Answer::Operation { path: answer.operation, metadata: answer.metadata }),
            _ => Err(errors::of_answer(what, status, &answer.error)),
        }
    }

    /// Waits for an operation to end, and returns what it says then.
    async fn finish(&self, answer: Answer, what: &str) -> Result<Value> {
        match answer {
            Answer::Value(value) => Ok(value),
            Answer::Operation { path, .. } => self.wait(&path, what).await,
        }
    }

    async fn wait(&self, operation: &str, what: &str) -> Result<Value> {
        // It has the project in it already, where it needs one.
        let (path, query) = operation.split_once('?').unwrap_or((operation, ""));
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let request = request(Method::GET, &format!("{path}/wait{query}"), Body::empty())?;
        let done: Operation = match self.answer(request, what).await? {
            Answer::Value(found) => value(found)?,
            Answer::Operation { .. } => return Err(unexpected(what)),
        };
        match done.status_code {
            200 => Ok(done.metadata),
            // A cancelled one counts as failed, too.
            _ => Err(errors::of_answer(what, StatusCode::INTERNAL_SERVER_ERROR, &done.err)),
        }
    }

    /// Returns the address of `path` in the project.
    fn address(&self, path: &str, query: &[(&str, &str)]) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        if let Some(project) = &self.project {
            pairs.append_pair("project", project);
        }
        pairs.extend_pairs(query);
        let query = pairs.finish();
        match (query.is_empty(), path.contains('?')) {
            (true, _) => path.to_owned(),
            (false, true) => format!("{path}&{query}"),
            (false, false) => format!("{path}?{query}"),
        }
    }
}

fn request(method: Method, address: &str, body: Body) -> Result<Request<Body>> {
    let request = Request::builder().method(method).uri(address).body(body);
    request
        .map_err(|error| Error::new(ErrorKind::Bug, "cannot address a request").with_source(error))
}

fn json_request(method: Method, address: &str, body: &impl Serialize) -> Result<Request<Body>> {
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

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(not_read)
}

fn value<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(not_read)
}

fn not_read(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Protocol, "cannot read the server's answer").with_source(error)
}

fn unexpected(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, what).with_cause("the server answered something else")
}
