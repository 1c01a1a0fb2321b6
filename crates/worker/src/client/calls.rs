//! Calls over the stream, with the workspace's errors.

use std::pin::Pin;
use std::task::{Context, Poll};

use boxwright_core::{CancellationToken, Error, ErrorKind, Result};
use futures_util::Stream;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::Streaming;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use crate::protocol::failure::from_status;
use crate::protocol::{self};

/// The connection to a worker. It ends with the last clone.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    sender: Sender,
    /// Fires when the connection has ended.
    ended: CancellationToken,
}

impl Calls {
    /// Begins to speak over `stream`.
    pub(super) async fn open(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self> {
        let opened = http2::Builder::new(TokioExecutor::new())
            .initial_connection_window_size(protocol::CONNECTION_WINDOW)
            .initial_stream_window_size(protocol::CALL_WINDOW)
            .max_frame_size(protocol::FRAME)
            .max_send_buf_size(protocol::SEND_BUFFER)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = opened.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "cannot speak with the worker").with_source(error)
        })?;
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        tokio::spawn(async move {
            // How it ended is the error of the calls that it had.
            let _ = connection.await;
            drop(end);
        });
        Ok(Self { sender: Sender(sender), ended })
    }

    /// Waits until the connection has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Sends one message and gets one.
    pub(super) async fn unary<Q, A>(&self, path: &'static str, request: Q) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let request = tonic::Request::new(request);
        let answer = grpc.unary(request, PathAndQuery::from_static(path), codec()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| from_status(&status))
    }

    /// Sends one message and gets a stream of them.
    pub(super) async fn server_streaming<Q, A>(
        &self,
        path: &'static str,
        request: Q,
    ) -> Result<Streaming<A>>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let request = tonic::Request::new(request);
        let answer = grpc.server_streaming(request, PathAndQuery::from_static(path), codec()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| from_status(&status))
    }

    /// Sends a stream of messages and gets one.
    pub(super) async fn client_streaming<Q, A>(
        &self,
        path: &'static str,
        messages: impl Stream<Item = Q> + Send + 'static,
    ) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let request = tonic::Request::new(messages);
        let answer = grpc.client_streaming(request, PathAndQuery::from_static(path), codec()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| from_status(&status))
    }

    /// Sends a stream of messages and gets one of them.
    pub(super) async fn streaming<Q, A>(
        &self,
        path: &'static str,
        messages: impl Stream<Item = Q> + Send + 'static,
    ) -> Result<Streaming<A>>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let request = tonic::Request::new(messages);
        let answer = grpc.streaming(request, PathAndQuery::from_static(path), codec()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| from_status(&status))
    }

    async fn grpc(&self) -> Result<Grpc<Sender>> {
        // The address is a formality: the connection is there already.
        let origin = Uri::from_static("http://worker");
        let mut grpc = Grpc::with_origin(self.sender.clone(), origin)
            .max_decoding_message_size(protocol::MESSAGE)
            .max_encoding_message_size(protocol::MESSAGE);
        grpc.ready().await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the connection to the worker is closed")
                .with_source(error)
        })?;
        Ok(grpc)
    }
}

fn codec<Q, A>() -> ProstCodec<Q, A>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    ProstCodec::default()
}

/// Sends requests on one connection.
#[derive(Clone, Debug)]
struct Sender(http2::SendRequest<Body>);

impl tower::Service<Request<Body>> for Sender {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
