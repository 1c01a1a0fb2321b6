//! What is sent, and reading what is answered.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use boxwright_core::{Error, ErrorKind, Result};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use crate::failure::broken_answer;

/// How much is read of a stream at once.
const CHUNK: usize = 256 * 1024;

/// The body of a request.
pub struct Body(UnsyncBoxBody<Bytes, io::Error>);

impl Body {
    /// Returns a body of nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self(Empty::new().map_err(|never| match never {}).boxed_unsync())
    }

    /// Returns a body of these bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync())
    }

    /// Returns `value` as JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Bug`] for a value that JSON cannot hold.
    pub fn json(value: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(value).map_err(|error| {
            Error::new(ErrorKind::Bug, "cannot write a request as JSON").with_source(error)
        })?;
        Ok(Self::bytes(bytes))
    }

    /// Returns a body that is read while it is sent, in chunks of unannounced length.
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        let chunks = ReaderStream::with_capacity(reader, CHUNK).map_ok(Frame::data);
        Self(StreamBody::new(chunks).boxed_unsync())
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("size", &hyper::body::Body::size_hint(&self.0))
            .finish_non_exhaustive()
    }
}

/// Returns all of an answer's body, if it has at most `limit` bytes.
///
/// # Errors
///
/// [`ErrorKind::Protocol`] when it is longer, [`ErrorKind::Unavailable`] when it breaks off.
pub async fn read_to_end<B>(body: B, limit: usize) -> Result<Bytes>
where
    B: hyper::body::Body<Data = Bytes, Error = hyper::Error> + Send + Unpin,
{
    let mut body = body;
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken_answer)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Error::new(ErrorKind::Protocol, "cannot read the answer")
                .with_cause(format!("it is longer than {limit} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}
