//! A proxy in this process behind which registries on loopback ports have the names of real ones.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::connect;
use crate::listening::Listening;
use crate::registries::certificates;

/// What is behind a name.
#[derive(Clone, Debug)]
pub enum Behind {
    /// A server that speaks HTTP without TLS, such as a [`FakeRegistry`](crate::FakeRegistry).
    Server(SocketAddr),
    /// A service that answers everything with this JSON, such as that of a vendor which gives tokens.
    Json(String),
}

/// A proxy on a loopback port that speaks TLS in the place of the hosts it knows. It ends when it is dropped.
#[derive(Debug)]
pub struct RegistryProxy {
    listening: Listening,
    authority: String,
}

impl RegistryProxy {
    /// Starts one that knows these hosts, and what is behind each.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start(hosts: BTreeMap<String, Behind>) -> io::Result<Self> {
        let (authority, acceptor) = certificates(hosts.keys().cloned().collect())?;
        let hosts = Arc::new(hosts);
        let listening = Listening::start(move |stream| {
            let (hosts, acceptor) = (hosts.clone(), acceptor.clone());
            async move { drop(serve(stream, &hosts, &acceptor).await) }
        });
        Ok(Self { listening: listening.await?, authority })
    }

    /// Returns the proxy's address: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.listening.http()
    }

    /// Returns the certificate of the authority of all hosts, as PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

async fn serve(
    mut stream: TcpStream,
    hosts: &BTreeMap<String, Behind>,
    acceptor: &TlsAcceptor,
) -> io::Result<()> {
    let host = connect::agree(&mut stream, |host| hosts.contains_key(host)).await?;
    let Some(behind) = host.and_then(|host| hosts.get(&host)) else { return Ok(()) };
    let mut stream = acceptor.accept(stream).await?;
    match behind {
        Behind::Server(address) => {
            let mut server = TcpStream::connect(address).await?;
            tokio::io::copy_bidirectional(&mut stream, &mut server).await?;
            Ok(())
        }
        Behind::Json(text) => answer(stream, text.clone()).await,
    }
}

async fn answer(stream: TlsStream<TcpStream>, text: String) -> io::Result<()> {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let text = text.clone();
        async move {
            // A client may wait until its request was read.
            let _ = request.into_body().collect().await;
            Response::builder()
                .header(CONTENT_TYPE, "application/x-amz-json-1.1")
                .body(Full::new(Bytes::from(text)))
        }
    });
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}
