//! A blob as a stream that goes on where it broke.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use boxwright_core::{ByteStream, Descriptor};
use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;

use crate::auth::Access;
use crate::digester::Digester;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, Outcome, Retry};
use crate::http::Request;

/// Why a stream broke. An `io::Error` cannot hold all of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Breakage(Arc<Mutex<Option<Failure>>>);

impl Breakage {
    /// Takes the failure, if there is one.
    pub(crate) fn take(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, failure: Failure) -> io::Error {
        let error = io::Error::other(failure.why.to_string());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        error
    }
}

/// Where a blob is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) endpoint: Endpoint,
    pub(crate) access: Access,
}

struct Download {
    place: Place,
    blob: Descriptor,
    url: Url,
    offset: u64,
    /// Bytes that come again, from a registry that takes no `Range`.
    skip: u64,
    answer: Option<Response>,
    attempt: u32,
    breakage: Breakage,
}

/// Opens a blob. The stream has exactly as many bytes as the descriptor says, or fails; their digest is
/// not checked.
pub(crate) async fn open(place: &Place, blob: &Descriptor) -> Outcome<(ByteStream, Breakage)> {
    let path = format!("{}/blobs/{}", place.access.repository, blob.digest);
    let breakage = Breakage::default();
    let mut download = Download {
        place: place.clone(),
        blob: blob.clone(),
        url: place.endpoint.url(&path).await?,
        offset: 0,
        skip: 0,
        answer: None,
        attempt: 1,
        breakage: breakage.clone(),
    };
    // Asked for now, so that a blob that is not there is an error here.
    download.ask().await?;
    let chunks = stream::unfold(Some(download), |download| async {
        let mut download = download?;
        match download.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(download))),
            Ok(None) => None,
            Err(failure) => Some((Err(download.breakage.note(failure)), None)),
        }
    });
    Ok((Box::new(StreamReader::new(Box::pin(chunks))), breakage))
}

impl Download {
    async fn ask(&mut self) -> Outcome<()> {
        let mut request = Request::new(Method::GET, self.url.clone());
        if self.offset > 0 {
            request = request.with_header(RANGE, &format!("bytes={}-", self.offset))?;
        }
        let answer = self.place.endpoint.call(Some(&self.place.access), &request).await?;
        self.skip = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = answer.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
                let begins = format!("bytes {}-", self.offset);
                if !range.is_some_and(|range| range.starts_with(&begins)) {
                    return Err(self.wrong("came with another part than was asked for"));
                }
                0
            }
            _ => self.offset,
        };
        let expected = self.blob.size - self.offset + self.skip;
        if answer.content_length().is_some_and(|length| length != expected) {
            return Err(self.wrong("has another length than its manifest says"));
        }
        self.answer = Some(answer);
        Ok(())
    }

    async fn next(&mut self) -> Outcome<Option<Bytes>> {
        loop {
            let Some(answer) = &mut self.answer else {
                self.ask().await?;
                continue;
            };
            let silence = self.place.endpoint.retries().longest_silence;
            let chunk = tokio::time::timeout(silence, answer.chunk()).await;
            match chunk {
                Ok(Ok(Some(mut bytes))) => {
                    let skipped = self.skip.min(bytes.len() as u64);
                    self.skip -= skipped;
                    let _ = bytes.split_to(usize::try_from(skipped).unwrap_or(bytes.len()));
                    if bytes.is_empty() {
                        continue;
                    }
                    self.offset += bytes.len() as u64;
                    if self.offset > self.blob.size {
                        return Err(self.wrong("is longer than its manifest says"));
                    }
                    self.attempt = 1;
                    return Ok(Some(bytes));
                }
                Ok(Ok(None)) if self.offset == self.blob.size && self.skip == 0 => return Ok(None),
                // Cut off, broken, or silent: ask for the rest.
                Ok(Ok(None)) => self.pause("ended too early").await?,
                Ok(Err(_)) => self.pause("broke off").await?,
                Err(_) => self.pause("stalled").await?,
            }
        }
    }

    async fn pause(&mut self, what: &str) -> Outcome<()> {
        self.answer = None;
        let Some(pause) = self.place.endpoint.retries().pause(self.attempt, Retry::Soon) else {
            let at = format!("{what} at byte {} of {}", self.offset, self.blob.size);
            return Err(self.wrong(&at).with_fact("attempts", self.attempt.to_string()));
        };
        self.attempt += 1;
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn wrong(&self, what: &str) -> Failure {
        let registry = self.place.endpoint.name();
        Failure::protocol(format!("the blob `{}` from `{registry}` {what}", self.blob.digest))
    }
}

/// Hashes a blob while it is read. The read that meets its end fails if it has another digest.
pub(crate) struct Verified {
    bytes: ByteStream,
    blob: Descriptor,
    digester: Option<Digester>,
}

impl Verified {
    pub(crate) fn new(bytes: ByteStream, blob: Descriptor) -> Self {
        let digester = Some(Digester::like(&blob.digest));
        Self { bytes, blob, digester }
    }
}

impl AsyncRead for Verified {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.bytes).poll_read(cx, buffer);
        let Poll::Ready(Ok(())) = read else { return read };
        let new = &buffer.filled()[before..];
        if !new.is_empty() || buffer.remaining() == 0 {
            if let Some(digester) = &mut self.digester {
                digester.update(new);
            }
            return read;
        }
        let digester = self.digester.take();
        if digester.is_none_or(|digester| digester.is(&self.blob.digest)) {
            return read;
        }
        let cause = format!("the registry gave other bytes than those of `{}`", self.blob.digest);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, cause)))
    }
}
