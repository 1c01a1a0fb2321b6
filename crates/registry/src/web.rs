//! Files of the web, which are no registry's.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use boxwright_core::{ByteStream, Error, ErrorKind, Result};
use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Method, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use tokio_util::io::StreamReader;

use crate::Client;
use crate::failure::{Failure, Outcome, Retry};
use crate::http::{Body, Request, Transport, authority, parse_date};

/// By what a server tells one version of a file from another, as it wrote it. Empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebVersion {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

/// A file of the web that was asked for.
pub struct WebFile {
    /// Its version.
    pub version: WebVersion,
    /// When it changed last, in seconds since 1970, if the server says so.
    pub modified: Option<i64>,
    /// Its bytes.
    pub content: ByteStream,
}

impl Client {
    /// Opens the file at an `http` or `https` address, or returns `None` if it still has the version `known`. Goes through the proxies and with the certificates that are set.
    /// Plain HTTP is spoken where the address says so; a redirect never leads from https to it. What the address
    /// has before an `@` goes to its own host alone. No other credential is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no such file, [`ErrorKind::Unauthorized`] when it is not for everyone,
    /// [`ErrorKind::InvalidInput`] when the address is none, or link-local; [`ErrorKind::Unavailable`] when the
    /// server does not answer with it.
    pub async fn web(&self, address: &str, known: &WebVersion) -> Result<Option<WebFile>> {
        let url: Url = address.parse().map_err(|error| {
            let message = "cannot download from what is no address";
            Error::new(ErrorKind::InvalidInput, message).with_source(error)
        })?;
        let mut shown = url.clone();
        // Neither can fail: an http address has a host.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        let opened = self.open_web(&url, known).await;
        opened.map_err(|failure| failure.during(format!("cannot download `{shown}`")))
    }

    async fn open_web(&self, url: &Url, known: &WebVersion) -> Outcome<Option<WebFile>> {
        let retries = self.retries();
        let transport = self.new_transport().for_any_file();
        let mut attempt = 1;
        loop {
            let failure = match ask(&transport, url, known).await {
                Ok(answer) => return Ok(answer.map(|it| file(it, retries.longest_silence))),
                Err(failure) => failure,
            };
            let Some(pause) = retries.pause(attempt, failure.retry) else { return Err(failure) };
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }
}

async fn ask(transport: &Transport, url: &Url, known: &WebVersion) -> Outcome<Option<Response>> {
    let mut request = Request::new(Method::GET, url.clone());
    if let Some(etag) = &known.etag {
        request = request.with_header(IF_NONE_MATCH, etag)?;
    }
    if let Some(time) = &known.last_modified {
        request = request.with_header(IF_MODIFIED_SINCE, time)?;
    }
    let answer = transport.send(&request, Body::Own, None).await?;
    let status = answer.status();
    if status == StatusCode::OK {
        return Ok(Some(answer));
    }
    if status == StatusCode::NOT_MODIFIED && *known != WebVersion::default() {
        return Ok(None);
    }
    let host = authority(answer.url());
    let (kind, remedy) = match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => (ErrorKind::NotFound, "correct the address"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            (ErrorKind::Unauthorized, "download it first, and take it from the context")
        }
        _ => (ErrorKind::Unavailable, "try again later, or take the file from the context"),
    };
    let is_passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let failure = Failure::new(kind, format!("`{host}` answered `{status}`")).with_remedy(remedy);
    Err(failure.with_retry(if is_passing { Retry::Soon } else { Retry::Never }))
}

fn file(answer: Response, silence: Duration) -> WebFile {
    let header = |name| answer.headers().get(name).and_then(|it| it.to_str().ok());
    let version = WebVersion {
        etag: header(ETAG).map(str::to_owned),
        last_modified: header(LAST_MODIFIED).map(str::to_owned),
    };
    let modified = version.last_modified.as_deref().and_then(parse_date);
    let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified.and_then(|since| i64::try_from(since.as_secs()).ok());
    let chunks = stream::unfold(Some(answer), move |answer| async move {
        let mut answer = answer?;
        let chunk: io::Result<Option<Bytes>> =
            match tokio::time::timeout(silence, answer.chunk()).await {
                Ok(chunk) => chunk.map_err(io::Error::other),
                Err(_) => {
                    let cause = format!("the server was silent for {} s", silence.as_secs());
                    Err(io::Error::new(io::ErrorKind::TimedOut, cause))
                }
            };
        match chunk {
            Ok(bytes) => Some((Ok(bytes?), Some(answer))),
            Err(error) => Some((Err(error), None)),
        }
    });
    WebFile { version, modified, content: Box::new(StreamReader::new(Box::pin(chunks))) }
}

impl std::fmt::Debug for WebFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebFile").field("modified", &self.modified).finish_non_exhaustive()
    }
}
