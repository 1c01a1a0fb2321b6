//! Bridges between blocking work and streams: work in a thread of its own, a few chunks in between.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use boxwright_core::{ByteStream, Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio::sync::mpsc;

/// The size of a chunk. At most three wait between the two sides.
const CHUNK: usize = 1 << 20;
const WAITING: usize = 2;

/// A chunk, or the error that ends the stream. An empty chunk is the end: a channel that closes
/// without one was let go of.
type Chunk = io::Result<Vec<u8>>;

type Work = Box<dyn FnOnce(&mut PipeWriter) -> Result<()> + Send>;

/// What a blocking writer writes, as a stream. The work starts with the first read, and ends early
/// when the stream is dropped.
pub struct PipeStream {
    work: Option<Work>,
    chunks: Option<mpsc::Receiver<Chunk>>,
    current: Vec<u8>,
    position: usize,
    ended: bool,
}

impl PipeStream {
    /// Returns the stream of what `work` writes. If it fails, the last read fails with its error.
    pub fn new(work: impl FnOnce(&mut PipeWriter) -> Result<()> + Send + 'static) -> Self {
        let (current, position) = (Vec::new(), 0);
        Self { work: Some(Box::new(work)), chunks: None, current, position, ended: false }
    }
}

impl std::fmt::Debug for PipeStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipeStream").field("ended", &self.ended).finish_non_exhaustive()
    }
}

fn start(work: Work) -> mpsc::Receiver<Chunk> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut writer = PipeWriter { sender, buffer: Vec::new() };
        let last = match work(&mut writer).and_then(|()| writer.flush().map_err(crate::read_error))
        {
            Ok(()) => Ok(Vec::new()),
            Err(error) => Err(io::Error::other(error)),
        };
        // Nobody may be there any more to hear how it ended.
        let _ = writer.sender.blocking_send(last);
    });
    receiver
}

impl AsyncRead for PipeStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.position == this.current.len() && !this.ended {
            if let Some(work) = this.work.take() {
                this.chunks = Some(start(work));
            }
            let chunks = this.chunks.as_mut().expect("the work was started above");
            match ready!(chunks.poll_recv(context)) {
                Some(Ok(chunk)) => {
                    this.ended = chunk.is_empty();
                    (this.current, this.position) = (chunk, 0);
                }
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Err(io::Error::other(let_go()))),
            }
        }
        let rest = &this.current[this.position..];
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        this.position += count;
        Poll::Ready(Ok(()))
    }
}

/// The writing side of a [`PipeStream`].
#[derive(Debug)]
pub struct PipeWriter {
    sender: mpsc::Sender<Chunk>,
    buffer: Vec<u8>,
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(CHUNK);
        }
        let count = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == CHUNK {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let sent = self.sender.blocking_send(Ok(std::mem::take(&mut self.buffer)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

/// Runs blocking `work` on what `stream` gives. Dropping the future ends the work early.
///
/// # Errors
///
/// What `work` fails with; an error of the stream reaches it as an error of a read.
pub async fn read_blocking<T: Send + 'static>(
    mut stream: ByteStream,
    work: impl FnOnce(PipeReader) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let reader = PipeReader { receiver, current: Vec::new(), position: 0, ended: false };
    let work = tokio::task::spawn_blocking(move || work(reader));
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        // Fill the chunk: a stream may give a few bytes at a time.
        let read = loop {
            match stream.read_buf(&mut chunk).await {
                Ok(0) => break Ok(()),
                Ok(_) if chunk.len() < CHUNK => {}
                Ok(_) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let last = chunk.is_empty() || read.is_err();
        let sent = sender.send(read.map(|()| chunk)).await;
        // The work may have all it wants before the stream is at its end.
        if last || sent.is_err() {
            break;
        }
    }
    work.await.unwrap_or_else(|error| Err(panicked(error)))
}

/// Runs blocking `work` in a thread of its own.
///
/// # Errors
///
/// What `work` fails with; [`ErrorKind::Bug`] when it panics.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(panicked(error)))
}

/// The reading side of [`read_blocking`].
#[derive(Debug)]
pub struct PipeReader {
    receiver: mpsc::Receiver<Chunk>,
    current: Vec<u8>,
    position: usize,
    ended: bool,
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.len() && !self.ended {
            let chunk = self.receiver.blocking_recv().ok_or_else(|| io::Error::other(let_go()))?;
            self.current = chunk?;
            self.position = 0;
            self.ended = self.current.is_empty();
        }
        let rest = &self.current[self.position..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count;
        Ok(count)
    }
}

fn let_go() -> Error {
    Error::new(ErrorKind::Cancelled, "interrupted")
}

fn panicked(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Bug, "a thread ended before its work").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_goes_in_comes_out_and_the_end_is_told() {
        let bytes: Vec<u8> = (0..3_500_000_u32).map(|n| (n % 251) as u8).collect();
        let written = bytes.clone();
        let stream = PipeStream::new(move |out| out.write_all(&written).map_err(crate::read_error));
        let read = read_blocking(Box::new(stream), |mut reader| {
            let mut out = Vec::new();
            reader.read_to_end(&mut out).map_err(crate::read_error)?;
            Ok(out)
        });
        assert!(read.await.unwrap() == bytes);
    }

    #[tokio::test]
    async fn an_error_of_the_work_is_the_error_of_the_last_read() {
        let mut stream = PipeStream::new(|out| {
            out.write_all(b"some").map_err(crate::read_error)?;
            Err(Error::new(ErrorKind::Exhausted, "no more"))
        });
        let mut out = Vec::new();
        let error = stream.read_to_end(&mut out).await.unwrap_err();
        assert_eq!(crate::read_error(error).kind(), ErrorKind::Exhausted);
    }

    #[tokio::test]
    async fn work_that_panics_is_never_an_end() {
        let mut stream = PipeStream::new(|_| panic!("on purpose"));
        assert!(stream.read_to_end(&mut Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn work_that_wants_no_more_ends_the_reading() {
        let endless: ByteStream = Box::new(tokio::io::repeat(7));
        let first = read_blocking(endless, |mut reader| {
            let mut first = [0; 3];
            reader.read_exact(&mut first).map_err(crate::read_error)?;
            Ok(first)
        });
        assert_eq!(first.await.unwrap(), [7; 3]);
    }
}
