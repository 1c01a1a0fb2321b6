//! Compresses one layer of a store.

use std::io::{self, BufWriter, Read, Write};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use boxwright_core::{Descriptor, Error, ErrorKind, Result};
use tokio::io::DuplexStream;
use tokio_util::io::SyncIoBridge;

use super::{PARALLEL, PackFormat, gzip};
use crate::layout::{Layout, cannot_write, temporary};
use crate::pipe::blocking;
use crate::verify::Hasher;

/// The level of zstd, a part of the format.
const ZSTD_LEVEL: i32 = 3;

/// Returns whether the blob is in the store, and notes that it is used.
pub(super) async fn is_there(layout: &Layout, blob: &Descriptor) -> Result<bool> {
    let (layout, blob) = (layout.clone(), blob.clone());
    blocking(move || Ok(layout.use_blob(&blob.digest)? == Some(blob.size))).await
}

/// Compresses the plain blob `layer` into another blob, of which `copy` gets the bytes as they come, for as long as
/// somebody reads them. Dropping the future ends the work.
pub(super) async fn compress(
    layout: &Layout,
    layer: &Descriptor,
    format: PackFormat,
    copy: Option<DuplexStream>,
) -> Result<Descriptor> {
    let (layout, layer) = (layout.clone(), layer.clone());
    let stop = Stop(Arc::default());
    let stopped = stop.0.clone();
    let copy = copy.map(SyncIoBridge::new);
    let work = blocking(move || compress_blocking(&layout, &layer, format, copy, &stopped));
    let packed = work.await;
    drop(stop);
    packed
}

/// Tells a thread that nobody waits for it any more.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn compress_blocking(
    layout: &Layout,
    layer: &Descriptor,
    format: PackFormat,
    copy: Option<SyncIoBridge<DuplexStream>>,
    stopped: &AtomicBool,
) -> Result<Descriptor> {
    let fail = |error| cannot_write(layout.folder(), error);
    let mut plain = Stoppable { inner: layout.open_blocking(&layer.digest)?, stopped };
    let file = temporary(&layout.ingest()).map_err(fail)?;
    let mut out = Out { file: BufWriter::new(file), hasher: Hasher::sha256(), size: 0, copy };
    let threads = NonZero::new(PARALLEL).unwrap_or(NonZero::<usize>::MIN);
    let done = match format {
        PackFormat::Gzip => gzip::compress(&mut plain, &mut out, threads),
        PackFormat::Zstd => zstd(&mut plain, &mut out, layer.size),
    };
    done.map_err(|error| match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => fail(error),
    })?;
    let Out { file, hasher, size, copy } = out;
    drop(copy);
    let file = file.into_inner().map_err(|error| fail(error.into_error()))?;
    let digest = layout.keep(file, hasher.finish(), None)?;
    Ok(Descriptor { media_type: format.media_type().to_owned(), digest, size })
}

/// One frame with its size, whatever the number of threads of the library.
fn zstd(plain: &mut impl Read, out: &mut impl Write, size: u64) -> io::Result<()> {
    let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
    encoder.set_pledged_src_size(Some(size))?;
    encoder.include_contentsize(true)?;
    io::copy(plain, &mut encoder)?;
    encoder.finish()?.flush()
}

/// A source that ends with an error when it is not wanted any more. Its own errors keep their reason.
struct Stoppable<'s, R> {
    inner: R,
    stopped: &'s AtomicBool,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other(Error::new(ErrorKind::Cancelled, "interrupted")));
        }
        self.inner.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => io::Error::other(crate::read_error(error)),
        })
    }
}

/// Hashes what is written, and copies it to who wants it meanwhile.
struct Out {
    file: BufWriter<tempfile::NamedTempFile>,
    hasher: Hasher,
    size: u64,
    copy: Option<SyncIoBridge<DuplexStream>>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        // Who reads no more does without.
        if self.copy.as_mut().is_some_and(|copy| copy.write_all(&bytes[..count]).is_err()) {
            self.copy = None;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
