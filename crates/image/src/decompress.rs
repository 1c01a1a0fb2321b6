//! Tells compressions apart by their first bytes, and undoes them within limits.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use boxwright_core::{Error, ErrorKind, Result};

use crate::tar::Limits;

/// How a blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
    /// By bzip2.
    Bzip2,
    /// By xz.
    Xz,
}

/// The largest window that zstd may ask for: 2 to this power. Level 21 asks for as much.
const ZSTD_WINDOW: u32 = 26;
/// How much memory xz may take, in KiB.
const XZ_MEMORY: u32 = 72 << 10;
/// Below this many bytes nothing is a bomb: 256 MiB.
const RATIO_FREE: u64 = 256 << 20;

impl Compression {
    /// Returns what the first bytes of a stream tell; six are enough.
    #[must_use]
    pub fn of(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A frame that zstd skips, as chunked images begin with.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        })
    }
}

/// Returns what `inner` gives without its compression, and which that was.
///
/// # Errors
///
/// [`ErrorKind::Protocol`] when a header is broken; a later break is an error of the read that meets it.
pub fn decompress<'r>(
    inner: impl Read + Send + 'r,
    limits: &Limits,
) -> Result<(Compression, Box<dyn Read + Send + 'r>)> {
    let taken = Arc::new(AtomicU64::new(0));
    let mut inner = BufReader::with_capacity(128 << 10, Counted { inner, taken: taken.clone() });
    let mut first = Vec::with_capacity(6);
    (&mut inner).take(6).read_to_end(&mut first).map_err(crate::read_error)?;
    let compression = Compression::of(&first);
    let whole = BufReader::with_capacity(128 << 10, io::Cursor::new(first).chain(inner));
    let plain: Box<dyn Read + Send + 'r> = match compression {
        Compression::None => return Ok((compression, Box::new(whole))),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        Compression::Zstd => {
            let decoder =
                zstd::stream::read::Decoder::with_buffer(whole).and_then(|mut decoder| {
                    decoder.window_log_max(ZSTD_WINDOW)?;
                    Ok(decoder)
                });
            Box::new(decoder.map_err(|error| broken(compression, error))?)
        }
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(whole)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(whole, true, XZ_MEMORY)),
    };
    Ok((
        compression,
        Box::new(Bounded { plain, compression, taken, given: 0, ratio: limits.ratio }),
    ))
}

/// Counts what is taken, and marks errors that are not the decompressor's.
struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => io::Error::other(crate::read_error(error)),
        })?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Gives plain bytes as long as they are in proportion to the compressed ones.
struct Bounded<'r> {
    plain: Box<dyn Read + Send + 'r>,
    compression: Compression,
    taken: Arc<AtomicU64>,
    given: u64,
    ratio: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.plain.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ if is_ours(&error) => error,
            _ => io::Error::other(broken(self.compression, error)),
        })?;
        self.given += count as u64;
        let most = self.taken.load(Ordering::Relaxed).saturating_mul(self.ratio);
        if self.given > RATIO_FREE && self.given > most {
            return Err(io::Error::other(
                Error::new(ErrorKind::Exhausted, "cannot read the archive").with_cause(format!(
                    "its {} data becomes more than {} times as large",
                    self.compression, self.ratio
                )),
            ));
        }
        Ok(count)
    }
}

fn is_ours(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Error>())
}

fn broken(compression: Compression, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::new(ErrorKind::Protocol, "cannot read the archive")
            .with_cause(format!("its {compression} data is broken: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(bytes: &[u8]) -> Result<(Compression, Vec<u8>)> {
        let (compression, mut plain) = decompress(bytes, &Limits::default())?;
        let mut out = Vec::new();
        plain.read_to_end(&mut out).map_err(crate::read_error)?;
        Ok((compression, out))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_compression_is_told_by_its_first_bytes() {
        let plain = b"some text, again and again, again and again".repeat(100);
        let zstd = zstd::encode_all(&plain[..], 3).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&plain).unwrap();
        let mut xz =
            lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(6)).unwrap();
        xz.write_all(&plain).unwrap();
        for (compression, bytes) in [
            (Compression::None, plain.clone()),
            (Compression::Gzip, gzip(&plain)),
            (Compression::Zstd, zstd),
            (Compression::Bzip2, bzip2.finish().unwrap()),
            (Compression::Xz, xz.finish().unwrap()),
        ] {
            assert_eq!(read(&bytes).unwrap(), (compression, plain.clone()));
            if compression != Compression::None {
                let error = read(&bytes[..bytes.len() - 5]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Protocol, "{compression}: {error:?}");
            }
        }
        assert_eq!(read(b"").unwrap(), (Compression::None, Vec::new()));
        assert_eq!(read(b"\x1f\x8b").unwrap().0, Compression::None);
    }

    #[test]
    fn members_behind_each_other_are_one_stream() {
        assert_eq!(read(&[gzip(b"one "), gzip(b"two")].concat()).unwrap().1, b"one two");
    }

    #[test]
    fn a_bomb_is_ended_by_its_ratio_threat_10() {
        let bomb = zstd::encode_all(io::repeat(0).take(300 << 20), 3).unwrap();
        let (_, mut plain) = decompress(&bomb[..], &Limits::default()).unwrap();
        let error = io::copy(&mut plain, &mut io::sink()).unwrap_err();
        let error = crate::read_error(error);
        assert_eq!(error.kind(), ErrorKind::Exhausted);
        assert!(error.causes()[0].contains("times as large"), "{error:?}");
    }

    #[test]
    fn a_zstd_window_above_the_limit_is_refused_threat_10() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&[0; 64 << 10]).unwrap();
        let bytes = encoder.finish().unwrap();
        assert_eq!(read(&bytes).unwrap_err().kind(), ErrorKind::Protocol);
    }
}
