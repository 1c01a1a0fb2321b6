//! Hashes a layer while it is written.

use std::io::{self, BufWriter, Write};

use boxwright_core::Digest;

use crate::verify::Hasher;

/// How much is written at once.
const BUFFER: usize = 256 << 10;

/// Hashes and counts what goes through.
struct Hashing<W> {
    inner: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Takes the bytes of a layer, and gives them to `W` in large pieces, hashed.
pub(super) struct Sink<W: Write>(BufWriter<Hashing<W>>);

impl<W: Write> Sink<W> {
    pub(super) fn new(inner: W) -> Self {
        let hashing = Hashing { inner, hasher: Hasher::sha256(), size: 0 };
        Self(BufWriter::with_capacity(BUFFER, hashing))
    }

    /// Returns what took the bytes, their digest and their number.
    pub(super) fn finish(self) -> io::Result<(W, Digest, u64)> {
        let Hashing { inner, hasher, size } =
            self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((inner, hasher.finish(), size))
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> std::fmt::Debug for Sink<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("size", &self.0.get_ref().size).finish_non_exhaustive()
    }
}
