//! The stream of an exec session: what a process writes comes in frames, what it reads goes as it is.
//!
//! Source: Docker Engine API 1.40, `ContainerAttach`, "Stream format": eight bytes before each piece of output, the
//! first of which names the stream, and the last four its length.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};

/// How much is read at once.
const BUFFER: usize = 256 << 10;
/// How many bytes of standard error are kept.
const TAIL: usize = 2 << 10;

/// The end of what a process wrote to standard error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    fn add(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let surplus = kept.len().saturating_sub(TAIL);
        kept.drain(..surplus);
    }

    /// Returns it as text.
    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

/// Standard input and output of a process, over a connection with frames.
#[derive(Debug)]
pub(crate) struct Framed<S> {
    inner: BufReader<S>,
    head: [u8; 8],
    head_filled: usize,
    /// How much of the frame is still to come.
    left: usize,
    errors: Tail,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Framed<S> {
    /// Returns the streams over `connection`. Standard error is kept in `errors`.
    pub(crate) fn new(connection: S, errors: Tail) -> Self {
        let inner = BufReader::with_capacity(BUFFER, connection);
        Self { inner, head: [0; 8], head_filled: 0, left: 0, errors }
    }

    /// Reads into `bytes`, and returns how much. 0 is the end.
    fn poll_some(
        &mut self,
        context: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(bytes);
        ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Reads the head of the next frame. `false` at the end.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.head_filled < self.head.len() {
            let mut rest = self.head;
            let filled = self.head_filled;
            match ready!(self.poll_some(context, &mut rest[filled..]))? {
                0 if filled == 0 => return Poll::Ready(Ok(false)),
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                count => {
                    self.head = rest;
                    self.head_filled += count;
                }
            }
        }
        let [stream, 0, 0, 0, length @ ..] = self.head else {
            let said = String::from_utf8_lossy(&self.head).into_owned();
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the engine sent no frame but {said:?}"),
            )));
        };
        if stream > 2 {
            let said = format!("the engine sent a frame of stream {stream}");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, said)));
        }
        self.left = u32::from_be_bytes(length) as usize;
        self.head_filled = 0;
        Poll::Ready(Ok(true))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Framed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.left == 0 && !ready!(this.poll_head(context))? {
                return Poll::Ready(Ok(()));
            }
            if this.left == 0 {
                continue;
            }
            let is_error = this.head[0] == 2;
            let mut scratch = [0; 1024];
            let most = if is_error { scratch.len() } else { buffer.remaining() }.min(this.left);
            let place =
                if is_error { &mut scratch[..most] } else { buffer.initialize_unfilled_to(most) };
            let count = ready!(this.poll_some(context, place))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            this.left -= count;
            if !is_error {
                buffer.advance(count);
                return Poll::Ready(Ok(()));
            }
            this.errors.add(&scratch[..count]);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn frame(stream: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0][..], &length, bytes].concat()
    }

    /// Sends `sent` in pieces of `piece` bytes, and returns what comes out on either stream.
    async fn read(sent: Vec<u8>, piece: usize) -> (io::Result<Vec<u8>>, String) {
        let (ours, mut theirs) = tokio::io::duplex(piece);
        tokio::spawn(async move {
            for piece in sent.chunks(piece) {
                theirs.write_all(piece).await.unwrap();
            }
        });
        let errors = Tail::default();
        let mut out = Vec::new();
        let read = Framed::new(ours, errors.clone()).read_to_end(&mut out).await;
        (read.map(|_| out), errors.text())
    }

    #[tokio::test]
    async fn frames_of_any_size_in_any_pieces_are_told_apart() {
        let large: Vec<u8> = (0..300_000_u32).map(|n| (n % 253) as u8).collect();
        let sent = [
            frame(1, b"a"),
            frame(2, b"oh "),
            frame(1, b""),
            frame(1, &large),
            frame(2, b"dear\n"),
            frame(1, b"z"),
        ]
        .concat();
        for piece in [1, 7, 4096, 1 << 20] {
            let (out, errors) = read(sent.clone(), piece).await;
            assert!(out.unwrap() == [&b"a"[..], &large, b"z"].concat());
            assert_eq!(errors, "oh dear");
        }
    }

    #[tokio::test]
    async fn what_is_cut_short_or_no_frame_is_no_end() {
        let whole = frame(1, b"abc");
        assert!(read(whole[..5].to_vec(), 64).await.0.is_err());
        assert!(read(whole[..9].to_vec(), 64).await.0.is_err());
        let error = read(b"exec format error\n".to_vec(), 64).await.0.unwrap_err();
        assert!(error.to_string().contains("exec for"), "{error}");
    }

    #[tokio::test]
    async fn of_much_standard_error_the_end_is_kept() {
        let mut sent: Vec<u8> = (0..5000).flat_map(|_| frame(2, b"much ")).collect();
        sent.extend(frame(2, b"at last"));
        let (out, errors) = read(sent, 4096).await;
        assert_eq!(out.unwrap(), b"");
        assert!(errors.len() <= TAIL && errors.ends_with("at last"), "{errors}");
    }
}
