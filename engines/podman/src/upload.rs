//! Secrets on their way to the builder: the last entries of the context's tar.
//!
//! The service takes a secret as a file of the context, which it moves out of the context before the build and
//! deletes afterwards. They come last, since a service whose upload breaks off keeps what it received.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use boxwright_core::{Error, ErrorKind, Result, Secret};
use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroizing;

/// What ends a tar: two blocks of zeros.
const END: usize = 1024;

/// How much is read at once.
const CHUNK: usize = 256 * 1024;

/// Returns secrets as the last entries of a tar, by name.
pub(crate) fn entries<'a>(
    secrets: impl Iterator<Item = (&'a str, &'a Secret)>,
) -> Result<Zeroizing<Vec<u8>>> {
    let bug = |error: io::Error| {
        Error::new(ErrorKind::Bug, "cannot write a secret into the context").with_source(error)
    };
    let secrets: Vec<_> = secrets.collect();
    let size: usize =
        secrets.iter().map(|(_, secret)| 512 + secret.expose().len().div_ceil(512) * 512).sum();
    // Never grown, so that no copy stays behind.
    let mut tar = tar::Builder::new(Zeroizing::new(Vec::with_capacity(size + END)).into_writer());
    for (name, secret) in secrets {
        let mut header = tar::Header::new_ustar();
        header.set_size(secret.expose().len() as u64);
        header.set_mode(0o600);
        header.set_mtime(0);
        tar.append_data(&mut header, name, secret.expose()).map_err(bug)?;
    }
    Ok(tar.into_inner().map_err(bug)?.0)
}

/// A vector that is cleared, as a writer.
struct Writer(Zeroizing<Vec<u8>>);

trait IntoWriter {
    fn into_writer(self) -> Writer;
}

impl IntoWriter for Zeroizing<Vec<u8>> {
    fn into_writer(self) -> Writer {
        Writer(self)
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A tar with more entries after its own.
pub(crate) struct Extended<R> {
    /// `None` once it was read to its end.
    tar: Option<R>,
    /// Read and not given on yet. Its last bytes may be the tar's end.
    held: Vec<u8>,
    given: usize,
    more: Zeroizing<Vec<u8>>,
    more_given: usize,
}

impl<R> Extended<R> {
    /// Returns `tar` with the entries `more`, which bring the end of the whole.
    pub(crate) fn new(tar: R, more: Zeroizing<Vec<u8>>) -> Self {
        Self { tar: Some(tar), held: Vec::new(), given: 0, more, more_given: 0 }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Extended<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            // All but the last block that may be the end.
            let ready_bytes = this.held.len().saturating_sub(END);
            if this.given < ready_bytes {
                let size = buffer.remaining().min(ready_bytes - this.given);
                buffer.put_slice(&this.held[this.given..this.given + size]);
                this.given += size;
                return Poll::Ready(Ok(()));
            }
            let Some(tar) = &mut this.tar else {
                let left = &this.more[this.more_given..];
                let size = buffer.remaining().min(left.len());
                buffer.put_slice(&left[..size]);
                this.more_given += size;
                return Poll::Ready(Ok(()));
            };
            this.held.drain(..this.given);
            this.given = 0;
            let before = this.held.len();
            this.held.resize(before + CHUNK, 0);
            let mut room = ReadBuf::new(&mut this.held[before..]);
            let polled = Pin::new(tar).poll_read(context, &mut room);
            let size = room.filled().len();
            this.held.truncate(before + size);
            ready!(polled)?;
            if size == 0 {
                if this.held.len() != END || this.held.iter().any(|byte| *byte != 0) {
                    return Poll::Ready(Err(io::Error::other("the context's tar has no end")));
                }
                this.tar = None;
                this.held.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use tokio::io::AsyncReadExt as _;

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn files(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut archive = tar::Archive::new(tar);
        let read = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
        });
        read.collect()
    }

    #[tokio::test]
    async fn secrets_come_last_and_zeros_of_a_file_stay() {
        let zeros = vec![0; 300_000];
        let context = tar_of(&[("Dockerfile", b"FROM scratch"), ("zeros", &zeros)]);
        let secret = Secret::from("s3cr3t");
        let more = entries([(".s", &secret)].into_iter()).unwrap();
        let mut whole = Vec::new();
        Extended::new(&context[..], more).read_to_end(&mut whole).await.unwrap();
        let found = files(&whole);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Dockerfile", "zeros", ".s"]);
        assert_eq!((found[1].1.len(), found[2].1.as_slice()), (300_000, b"s3cr3t".as_slice()));
    }

    #[tokio::test]
    async fn a_tar_that_is_cut_short_is_an_error() {
        let context = tar_of(&[("Dockerfile", b"FROM scratch")]);
        let cut = &context[..context.len() - 512];
        let more = entries(std::iter::empty()).unwrap();
        let error = Extended::new(cut, more).read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "the context's tar has no end");
    }
}
