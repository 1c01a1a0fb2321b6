//! Files of the web, which are no registry's.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use boxwright_core::{ByteStream, Error, ErrorKind, Result};
use bytes::Bytes;
use futures_util::stream;
use reqwest::header::LAST_MODIFIED;
use reqwest::{Method, Response, StatusCode, Url};
use tokio_util::io::StreamReader;

use crate::Client;
use crate::failure::{Failure, Outcome, Retry};
use crate::http::{Body, Request, Transport, authority, parse_date};

/// A file of the web that was asked for.
pub struct WebFile {
    /// When it changed last, in seconds since 1970, if the server says so.
    pub modified: Option<i64>,
    /// Its bytes.
    pub content: ByteStream,
}

impl Client {
    /// Opens the file at an `http` or `https` address, through the proxies and with the certificates that are set.
    /// Plain HTTP is spoken where the address says so; a redirect never leads from https to it. What the address
    /// has before an `@` goes to its own host alone. No other credential is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no such file, [`ErrorKind::Unauthorized`] when it is not for everyone,
    /// [`ErrorKind::InvalidInput`] when the address is none, or link-local; [`ErrorKind::Unavailable`] when the
    /// server does not answer with it.
    pub async fn web(&self, address: &str) -> Result<WebFile> {
        let url: Url = address.parse().map_err(|error| {
            let message = "cannot download from what is no address";
            Error::new(ErrorKind::InvalidInput, message).with_source(error)
        })?;
        let mut shown = url.clone();
        // Neither can fail: an http address has a host.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        let opened = self.open_web(&url).await;
        opened.map_err(|failure| failure.during(format!("cannot download `{shown}`")))
    }

    async fn open_web(&self, url: &Url) -> Outcome<WebFile> {
        let retries = self.retries();
        let transport = self.new_transport().for_any_file();
        let mut attempt = 1;
        loop {
            let failure = match ask(&transport, url).await {
                Ok(answer) => return Ok(file(answer, retries.longest_silence)),
                Err(failure) => failure,
            };
            let Some(pause) = retries.pause(attempt, failure.retry) else { return Err(failure) };
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }
}

async fn ask(transport: &Transport, url: &Url) -> Outcome<Response> {
    let request = Request::new(Method::GET, url.clone());
    let answer = transport.send(&request, Body::Own, None).await?;
    let status = answer.status();
    if status == StatusCode::OK {
        return Ok(answer);
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
    let modified = answer.headers().get(LAST_MODIFIED).and_then(|value| value.to_str().ok());
    let modified = modified.and_then(parse_date);
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
    WebFile { modified, content: Box::new(StreamReader::new(Box::pin(chunks))) }
}

impl std::fmt::Debug for WebFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebFile").field("modified", &self.modified).finish_non_exhaustive()
    }
}
