//! Pieces of layers, as they travel.

use std::io::{self, Read};

use bytes::{Bytes, BytesMut};

use crate::protocol::CHUNK;

/// Reads until a chunk is full or the end is reached; then it is shorter, or empty.
pub(crate) fn next_chunk(reader: &mut dyn Read) -> io::Result<Bytes> {
    let mut chunk = BytesMut::zeroed(CHUNK);
    let mut filled = 0;
    while filled < CHUNK {
        match reader.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    chunk.truncate(filled);
    Ok(chunk.freeze())
}
