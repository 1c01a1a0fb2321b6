//! HTTP/2 over connections that the daemon has upgraded: towards its control service, and from it
//! towards the services of our session.

use std::pin::Pin;
use std::task::{Context, Poll};

use boxwright_core::{CancellationToken, Error, ErrorKind, Result};
use boxwright_http::{Body, Client, Connection, http};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint};

/// How many bytes may be under way on a connection. With it grows how many small frames may wait unread: `h2`
/// allows half of it in overhead, at 256 bytes a frame, and closes the connection at one more.
pub(super) const WINDOW: u32 = 64 << 20;

/// The protocol that both of the daemon's endpoints upgrade to.
const H2C: &str = "h2c";

/// Opens the daemon's `moby.buildkit.v1.Control` service. Source: Docker Engine API 1.39, `POST /grpc`.
pub(super) async fn control(client: &Client) -> Result<Channel> {
    let request = http::Request::post("/grpc").body(Body::empty()).map_err(bug)?;
    let connection = client.upgrade(request, H2C).await?;
    let mut connection = Some(TokioIo::new(connection));
    let connector = tower::service_fn(move |_: http::Uri| {
        let taken = connection.take();
        std::future::ready(taken.ok_or_else(|| std::io::Error::other("the connection was closed")))
    });
    // The address is a formality: the connection is there already.
    let endpoint = Endpoint::from_static("http://buildkit").initial_connection_window_size(WINDOW);
    endpoint.connect_with_connector(connector).await.map_err(|error| {
        Error::new(ErrorKind::Protocol, "the daemon does not speak BuildKit's protocol")
            .with_source(error)
            .with_remedy("build with the classic builder: `--builder classic`")
    })
}

/// Opens a connection on which the daemon calls our services: `methods` with the session's id and key.
/// Source: Docker Engine API 1.31, `POST /session`; the headers are those of BuildKit, `session/manager.go`.
pub(super) async fn session(
    client: &Client,
    id: &str,
    shared_key: &str,
    methods: &[String],
    end: CancellationToken,
) -> Result<SessionConnection> {
    let mut request = http::Request::post("/session")
        .header("X-Docker-Expose-Session-Uuid", id)
        .header("X-Docker-Expose-Session-Name", "boxwright")
        .header("X-Docker-Expose-Session-Sharedkey", shared_key);
    for method in methods {
        request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
    }
    let request = request.body(Body::empty()).map_err(bug)?;
    let connection = client.upgrade(request, H2C).await?;
    Ok(SessionConnection { connection, end: Box::pin(end.cancelled_owned()) })
}

fn bug(error: http::Error) -> Error {
    Error::new(ErrorKind::Bug, "cannot form a request to the daemon").with_source(error)
}

/// A connection as `tonic` wants it of a server, which ends at our word: the server itself would keep it
/// for as long as the daemon does.
#[derive(Debug)]
pub(super) struct SessionConnection {
    connection: Connection,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connected for SessionConnection {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for SessionConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.end.as_mut().poll(context).is_ready() {
            // Nothing was read, which means the end of the stream.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl AsyncWrite for SessionConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}
