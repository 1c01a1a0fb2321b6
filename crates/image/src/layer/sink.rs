//! Hashes and compresses a layer in one pass.

use std::io::{self, BufWriter, Write};

use boxwright_core::Digest;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use tempfile::NamedTempFile;

use crate::verify::Hasher;

/// The level of gzip. It is a part of the format: another one gives other bytes.
const LEVEL: u32 = 6;

/// Counts and hashes what goes through.
struct Hashing<W> {
    inner: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::sha256(), size: 0 }
    }
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

/// Takes the bytes of a layer, and writes them compressed to a file.
pub(super) struct Sink(Hashing<GzEncoder<Hashing<BufWriter<NamedTempFile>>>>);

/// A layer in its file.
pub(super) struct Written {
    pub(super) file: NamedTempFile,
    pub(super) blob: (Digest, u64),
    pub(super) plain: (Digest, u64),
}

impl Sink {
    pub(super) fn new(file: NamedTempFile) -> Self {
        let file = Hashing::new(BufWriter::with_capacity(256 << 10, file));
        // One member with no name, no time and no system.
        let gzip = GzBuilder::new().mtime(0).operating_system(255);
        Self(Hashing::new(gzip.write(file, Compression::new(LEVEL))))
    }

    pub(super) fn finish(self) -> io::Result<Written> {
        let Hashing { inner, hasher, size } = self.0;
        let plain = (hasher.finish(), size);
        let Hashing { inner, hasher, size } = inner.finish()?;
        let file = inner.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Written { file, blob: (hasher.finish(), size), plain })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("size", &self.0.size).finish_non_exhaustive()
    }
}
