//! A proxy in this process that looks into TLS, as those of companies do: it shows a certificate of an authority that only
//! it knows.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::connect;
use crate::file_server::{Page, answer};
use crate::listening::Listening;
use crate::registries::certificates;

/// A proxy on a loopback port that answers for one host itself, over TLS. It ends when it is dropped.
#[derive(Debug)]
pub struct InspectingProxy {
    listening: Listening,
    authority: String,
}

impl InspectingProxy {
    /// Serves `pages`, by path, as if they were those of `host`.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start(host: &str, pages: BTreeMap<String, Page>) -> io::Result<Self> {
        let (authority, acceptor) = certificates(vec![host.to_owned()])?;
        let (host, pages) = (host.to_owned(), Arc::new(pages));
        let listening = Listening::start(move |stream| {
            let (host, acceptor, pages) = (host.clone(), acceptor.clone(), pages.clone());
            // A client that trusts nobody ends it at once.
            async move { drop(serve(stream, &host, &acceptor, &pages).await) }
        });
        Ok(Self { listening: listening.await?, authority })
    }

    /// Returns the proxy's address: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.listening.http()
    }

    /// Returns the certificate of its authority, as PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

async fn serve(
    mut stream: TcpStream,
    host: &str,
    acceptor: &TlsAcceptor,
    pages: &Arc<BTreeMap<String, Page>>,
) -> io::Result<()> {
    if connect::agree(&mut stream, |it| it == host).await?.is_none() {
        return Ok(());
    }
    let stream = acceptor.accept(stream).await?;
    let pages = pages.clone();
    let service = hyper::service::service_fn(move |request| {
        let is_folder = request.uri().path().ends_with('/');
        let answer = answer(&pages, &request).map(|mut answer| {
            if is_folder {
                // Clients of indexes read a list only if it says what it is.
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            }
            answer
        });
        async move { answer }
    });
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}
