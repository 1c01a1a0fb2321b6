//! A stream whose broken sending half does not take the answer away.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::Connection;
use crate::slot::Slot;

/// Wraps a connection so that a server which stops reading in mid-upload is still heard: once
/// a write breaks, writing waits for ever, and reading goes on to the answer or the end.
#[derive(Debug)]
pub(crate) struct Tolerant {
    connection: Connection,
    slot: Slot,
    is_broken: bool,
}

impl Tolerant {
    pub(crate) fn new(connection: Connection, slot: Slot) -> Self {
        Self { connection, slot, is_broken: false }
    }

    fn outcome<T>(&mut self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match result {
            // No waker is kept: whoever drives the connection is woken by its reading half.
            Poll::Ready(Err(error)) if is_hang_up(&error) => {
                self.is_broken = true;
                Poll::Pending
            }
            other => other,
        }
    }
}

/// Whether the other side closed the connection.
pub(crate) fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
    )
}

impl AsyncRead for Tolerant {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.connection).poll_read(context, buffer);
        result.map(|result| result.map_err(|error| self.slot.keep_io(error)))
    }
}

impl AsyncWrite for Tolerant {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_broken {
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.outcome(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_broken {
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.connection).poll_flush(context);
        self.outcome(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_broken {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.connection).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_broken {
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.connection).poll_write_vectored(context, slices);
        self.outcome(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}
