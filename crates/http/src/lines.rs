//! Answers of one JSON object a line.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use boxwright_core::{Error, ErrorKind, Result};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use crate::failure::broken_answer;

/// The longest line that is taken.
const LIMIT: usize = 8 * 1024 * 1024;

/// The lines of an answer, without their ends and without empty ones. Made by [`lines`].
#[derive(Debug)]
pub struct Lines<B> {
    body: Option<B>,
    buffer: BytesMut,
    searched: usize,
}

/// Returns the lines of an answer as they arrive. A line of more than 8 MiB is an error.
pub fn lines<B>(body: B) -> Lines<B>
where
    B: hyper::body::Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    Lines { body: Some(body), buffer: BytesMut::new(), searched: 0 }
}

impl<B> Lines<B> {
    /// Takes a whole line out of the buffer, if there is one.
    fn take_line(&mut self) -> Option<Bytes> {
        loop {
            let Some(end) = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n')
            else {
                self.searched = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(self.searched + end + 1).freeze();
            self.searched = 0;
            let line = trimmed(line);
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}

fn trimmed(mut line: Bytes) -> Bytes {
    while line.last().is_some_and(u8::is_ascii_whitespace) {
        line.truncate(line.len() - 1);
    }
    line
}

impl<B> Stream for Lines<B>
where
    B: hyper::body::Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    type Item = Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes>>> {
        let this = &mut *self;
        loop {
            if let Some(line) = this.take_line() {
                return Poll::Ready(Some(Ok(line)));
            }
            if this.buffer.len() > LIMIT {
                this.body = None;
                this.buffer.clear();
                this.searched = 0;
                let error = Error::new(ErrorKind::Protocol, "cannot read the answer");
                let cause = format!("it has a line of more than {LIMIT} bytes");
                return Poll::Ready(Some(Err(error.with_cause(cause))));
            }
            let Some(body) = &mut this.body else {
                let rest = trimmed(std::mem::take(&mut this.buffer).freeze());
                this.searched = 0;
                return Poll::Ready((!rest.is_empty()).then_some(Ok(rest)));
            };
            match ready!(Pin::new(body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        this.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    this.body = None;
                    this.buffer.clear();
                    this.searched = 0;
                    return Poll::Ready(Some(Err(broken_answer(error))));
                }
                None => this.body = None,
            }
        }
    }
}
