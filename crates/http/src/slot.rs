//! Keeps the error of a request's own body or stream, which hyper would bury.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use boxwright_core::Error;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Where an error waits for whoever learns of the failure. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot(Arc<Mutex<Option<Error>>>);

impl Slot {
    fn put(&self, error: Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the error of this workspace that `error` carries, if it does, and returns what is left.
    pub(crate) fn keep_io(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        if error.get_ref().is_none_or(|inner| !inner.is::<Error>()) {
            return error;
        }
        match error.into_inner().map(|inner| inner.downcast::<Error>()) {
            Some(Ok(own)) => {
                let text = own.to_string();
                self.put(*own);
                io::Error::new(kind, text)
            }
            Some(Err(other)) => io::Error::new(kind, other),
            None => kind.into(),
        }
    }

    fn keep(&self, error: Box<dyn StdError + Send + Sync>) -> io::Error {
        match error.downcast::<io::Error>() {
            Ok(error) => self.keep_io(*error),
            Err(other) => self.keep_io(io::Error::other(other)),
        }
    }
}

/// A body whose errors go into a slot.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    body: Pin<Box<B>>,
    slot: Slot,
}

impl<B> Watched<B> {
    pub(crate) fn new(body: B, slot: Slot) -> Self {
        Self { body: Box::pin(body), slot }
    }
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let frame = this.body.as_mut().poll_frame(context);
        frame.map(|frame| frame.map(|frame| frame.map_err(|error| this.slot.keep(error.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
