//! Requests to one endpoint.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use boxwright_core::{Error, ErrorKind, Host, Result};
use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode, Uri};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use crate::body::read_to_end;
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::failure::no_answer;
use crate::slot::{Slot, Watched};
use crate::tolerant::Tolerant;

/// Sends requests to one endpoint, each over a connection of its own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    host: Host,
}

impl Client {
    /// Returns a client of `endpoint`. Nothing is connected yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, host: Host) -> Self {
        Self(Arc::new(Inner { endpoint, host }))
    }

    /// Returns where requests go.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Sends `request`, whose address may be a path alone, and returns the answer, whatever its status, once
    /// its head is there. A server that answers while the body is still being sent is heard.
    ///
    /// Dropping the future closes the connection. Dropping the answer's body closes it at the latest
    /// when the server writes again; where that must be at once, see [`Client::hold`].
    ///
    /// # Errors
    ///
    /// As [`Endpoint::connect`]; [`ErrorKind::Unavailable`] when the connection ends without an answer,
    /// [`ErrorKind::Protocol`] when the answer is not HTTP. An error of the body itself comes back as it was.
    pub async fn request<B>(&self, request: Request<B>) -> Result<Response<Incoming>>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (response, connection) = self.exchange(request).await?;
        connection.detach();
        Ok(response)
    }

    /// Sends `request` as [`Client::request`] does, and returns an answer that holds the connection: dropping
    /// its body closes it at once, which engines take for a cancel.
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
    pub async fn hold<B>(&self, request: Request<B>) -> Result<Response<HeldBody>>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (response, connection) = self.exchange(request).await?;
        Ok(response.map(|body| HeldBody { body, _connection: connection }))
    }

    /// Sends `request` and switches the connection to `protocol`, e.g. `tcp` or `h2c`.
    ///
    /// # Errors
    ///
    /// As [`Client::request`]; [`ErrorKind::Protocol`] when the server does not switch ([`ErrorKind::NotFound`]
    /// and [`ErrorKind::Conflict`] for those statuses), with its words as the cause and `status` as context.
    pub async fn upgrade<B>(
        &self,
        request: Request<B>,
        protocol: &'static str,
    ) -> Result<Connection>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut request = request;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
        let (response, driver) = self.exchange(request).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let kind = match status {
                StatusCode::NOT_FOUND => ErrorKind::NotFound,
                StatusCode::CONFLICT => ErrorKind::Conflict,
                _ => ErrorKind::Protocol,
            };
            let words = read_to_end(response.into_body(), 64 * 1024).await.unwrap_or_default();
            return Err(Error::new(kind, format!("cannot switch the connection to {protocol}"))
                .with_cause(String::from_utf8_lossy(&words).trim().to_owned())
                .with_context("status", status.as_u16().to_string()));
        }
        let upgraded = hyper::upgrade::on(response).await;
        driver.detach();
        let upgraded = upgraded.map_err(|error| no_answer(&self.0.endpoint, error))?;
        Ok(Connection::new(TokioIo::new(upgraded)))
    }

    async fn exchange<B>(&self, request: Request<B>) -> Result<(Response<Incoming>, Driver)>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let endpoint = &self.0.endpoint;
        let request = addressed(request, endpoint)?;
        let connection = endpoint.connect(&self.0.host).await?;
        let slot = Slot::default();
        let stream = TokioIo::new(Tolerant::new(connection, slot.clone()));
        let handshake = hyper::client::conn::http1::handshake(stream).await;
        let (mut sender, connection) = handshake.map_err(|error| no_answer(endpoint, error))?;
        // Its errors reach whoever waits for the answer or reads its body.
        let driver = Driver(Some(tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        })));
        let request = request.map(|body| Watched::new(body, slot.clone()));
        let response = sender.send_request(request).await;
        let failed = |error| slot.take().unwrap_or_else(|| no_answer(endpoint, error));
        Ok((response.map_err(failed)?, driver))
    }
}

/// Leaves of the address what a server is sent, and names the host.
fn addressed<B>(mut request: Request<B>, endpoint: &Endpoint) -> Result<Request<B>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let invalid = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Bug, "cannot address a request").with_cause(error.to_string())
    };
    *request.uri_mut() = path.parse::<Uri>().map_err(|error| invalid(&error))?;
    if !request.headers().contains_key(HOST) {
        let host = HeaderValue::from_str(&endpoint.authority()).map_err(|error| invalid(&error))?;
        request.headers_mut().insert(HOST, host);
    }
    Ok(request)
}

/// The task that moves the bytes of one connection. Dropping it ends the connection.
#[derive(Debug)]
struct Driver(Option<JoinHandle<()>>);

impl Driver {
    /// Lets the connection live until both sides are done.
    fn detach(mut self) {
        self.0 = None;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// The body of an answer that holds its connection: see [`Client::hold`].
#[derive(Debug)]
pub struct HeldBody {
    body: Incoming,
    _connection: Driver,
}

impl hyper::body::Body for HeldBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
