//! Hashes bytes while they pass, and fails the read that meets a wrong end.

use std::fs::Metadata;
use std::io::{self, Read};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use boxwright_core::{ByteStream, Digest, Error, ErrorKind};
use sha2::Digest as _;
use tokio::io::{AsyncRead, ReadBuf};

/// What an error names a damaged blob of a store by.
pub(crate) const DAMAGED: &str = "damaged blob";

/// A running digest, of either algorithm.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Box<sha2::Sha256>),
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    pub(crate) fn sha256() -> Self {
        Self::Sha256(Box::default())
    }

    /// Returns a hasher of the algorithm of `digest`.
    pub(crate) fn like(digest: &Digest) -> Self {
        match digest.algorithm() {
            "sha512" => Self::Sha512(Box::default()),
            _ => Self::sha256(),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::from_sha256(hasher.finalize().into()),
            Self::Sha512(hasher) => {
                let hex: String = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
                format!("sha512:{hex}").parse().expect("128 hexadecimal digits are a digest")
            }
        }
    }
}

/// Gives what `inner` gives. At the end of bytes with another digest than `expected`, the read fails.
pub(crate) struct Verified<R> {
    inner: R,
    expected: Digest,
    hasher: Option<Hasher>,
    /// Whether the end was reached and the digest was right.
    right: bool,
    /// The file that is read, if it is one of a store.
    place: Option<Place>,
}

/// The file of a blob. One that is damaged is removed, so that it is made or fetched again.
pub(crate) struct Place {
    path: PathBuf,
    /// Device and inode, since another may have put a good one there meanwhile.
    identity: (u64, u64),
}

impl Place {
    pub(crate) fn of(path: PathBuf, data: io::Result<Metadata>) -> Option<Self> {
        data.ok().map(|data| Self { path, identity: identity(&data) })
    }

    fn remove(&self) {
        let now = std::fs::metadata(&self.path).map(|data| identity(&data));
        if now.is_ok_and(|now| now == self.identity) {
            // In a store that cannot be written it stays, and is found again.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(data: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (data.dev(), data.ino())
}

impl<R> Verified<R> {
    pub(crate) fn new(inner: R, expected: Digest) -> Self {
        let hasher = Some(Hasher::like(&expected));
        Self { inner, expected, hasher, right: false, place: None }
    }

    /// Returns it as the reader of a file of a store.
    pub(crate) fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }

    fn seen(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(bytes);
            }
            return Ok(());
        }
        if let Some(hasher) = self.hasher.take() {
            self.right = hasher.finish() == self.expected;
        }
        if self.right {
            return Ok(());
        }
        let error = wrong_bytes(&self.expected);
        Err(io::Error::other(match &self.place {
            Some(place) => {
                place.remove();
                error
                    .with_context(DAMAGED, self.expected.as_str())
                    .with_remedy("run it again: the blob was removed, and is made or fetched anew")
            }
            None => error,
        }))
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        self.seen(&buffer[..count])?;
        Ok(count)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Verified<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(self.seen(&buffer.filled()[before..])),
            other => other,
        }
    }
}

/// Returns `bytes`, verified while they are read: the read that meets the end of others than those of `digest` fails.
#[must_use]
pub fn verified(bytes: ByteStream, digest: &Digest) -> ByteStream {
    Box::new(Verified::new(bytes, digest.clone()))
}

pub(crate) fn wrong_bytes(digest: &Digest) -> Error {
    Error::new(ErrorKind::Protocol, format!("cannot read the blob `{digest}`"))
        .with_cause("its bytes have another digest")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], digest: &str) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Verified::new(bytes, digest.parse().unwrap()).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn both_algorithms_are_checked_at_the_end_threat_29() {
        let sha256 = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let sha512 = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        for digest in [sha256, sha512] {
            assert_eq!(read(b"abc", digest).unwrap(), b"abc");
            let error = crate::read_error(read(b"abd", digest).unwrap_err());
            assert_eq!(error.kind(), ErrorKind::Protocol);
            assert!(read(b"", digest).is_err());
        }
    }
}
