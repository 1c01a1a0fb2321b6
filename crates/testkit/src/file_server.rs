//! A server of files in this process, on a loopback port.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::listening::Listening;

/// What is served at one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The bytes.
    pub content: Vec<u8>,
    /// Their version, without the quotes around it.
    pub etag: Option<String>,
    /// When they changed last, as HTTP writes it.
    pub last_modified: Option<String>,
}

/// A server of files. It ends when it is dropped.
#[derive(Debug)]
pub struct FileServer {
    listening: Listening,
}

impl FileServer {
    /// Serves `pages`, by path.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start(pages: BTreeMap<String, Page>) -> std::io::Result<Self> {
        let pages = Arc::new(pages);
        let listening = Listening::start(move |stream| serve(stream, pages.clone())).await?;
        Ok(Self { listening })
    }

    /// Returns what the addresses of its files begin with: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.listening.http()
    }
}

async fn serve(stream: TcpStream, pages: Arc<BTreeMap<String, Page>>) {
    let service = hyper::service::service_fn(move |request| {
        let answer = answer(&pages, &request);
        async move { answer }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Answers from `pages`, by path.
pub(crate) fn answer(
    pages: &BTreeMap<String, Page>,
    request: &Request<Incoming>,
) -> http::Result<Response<Full<Bytes>>> {
    let nothing = |status| Response::builder().status(status).body(Full::default());
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return nothing(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Some(page) = pages.get(request.uri().path()) else {
        return nothing(StatusCode::NOT_FOUND);
    };
    let etag = page.etag.as_ref().map(|etag| format!("\"{etag}\""));
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|it| it.to_str().ok());
    let is_known = etag.is_some() && known == etag.as_deref();
    let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let mut response = Response::builder().status(status);
    if let Some(etag) = &etag {
        response = response.header(header::ETAG, etag);
    }
    if let Some(time) = &page.last_modified {
        response = response.header(header::LAST_MODIFIED, time);
    }
    let sends = !is_known && request.method() == Method::GET;
    response.body(if sends { Full::from(page.content.clone()) } else { Full::default() })
}
