//! The bytes of a blob on their way to a registry.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use boxwright_core::{ByteStream, Digest, Error, ErrorKind};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};
use tokio_util::io::ReaderStream;

use crate::failure::Failure;

/// How much is read of the store at once.
pub(super) const BUFFER: usize = 128 << 10;

/// Why the store did not give all of a blob: the request that sends it tells no more than that its body broke.
#[derive(Clone, Debug, Default)]
pub(super) struct Broken(Arc<Mutex<Option<io::Error>>>);

impl Broken {
    fn keep(&self, error: io::Error) -> io::Error {
        let told = io::Error::new(error.kind(), "the blob cannot be read");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        told
    }

    /// Returns why the blob `digest` could not be read, if it could not.
    pub(super) fn why(&self, digest: &Digest) -> Option<Failure> {
        let error = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(unreadable(digest, error))
    }
}

/// Says that the blob `digest` cannot be read.
pub(super) fn unreadable(digest: &Digest, error: io::Error) -> Failure {
    match error.downcast::<Error>() {
        Ok(error) => error.into(),
        Err(error) => {
            let cause = format!("the blob `{digest}` cannot be read");
            Failure::new(ErrorKind::Unavailable, cause).with_detail(error)
        }
    }
}

/// Gives all of `bytes`, the last of them only once their end was read: there a store finds out whether they are
/// what they should be, and a registry that misses the last ones keeps none.
pub(super) fn whole(
    bytes: ByteStream,
    broken: Broken,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let bytes = ReaderStream::with_capacity(bytes, BUFFER);
    stream::try_unfold((bytes, None), move |(mut bytes, mut held)| {
        let broken = broken.clone();
        async move {
            loop {
                match bytes.try_next().await.map_err(|error| broken.keep(error))? {
                    Some(next) => {
                        if let Some(before) = held.replace(next) {
                            return Ok(Some((before, (bytes, held))));
                        }
                    }
                    None => return Ok(held.take().map(|last| (last, (bytes, None)))),
                }
            }
        }
    })
}
