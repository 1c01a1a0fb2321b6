//! Layers and archives as they are inside.

use std::io::{self, Read as _};

/// Returns `bytes` without gzip or zstd around them, whichever there is.
///
/// # Errors
///
/// When the compressed bytes are damaged.
pub fn decompress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    match bytes {
        [0x1f, 0x8b, ..] => {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain)?;
            Ok(plain)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::decode_all(bytes),
        _ => Ok(bytes.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn gzip_zstd_and_plain_bytes_are_told_apart() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"abc").unwrap();
        assert_eq!(decompress(&gzip.finish().unwrap()).unwrap(), b"abc");
        assert_eq!(decompress(&zstd::encode_all(&b"abc"[..], 1).unwrap()).unwrap(), b"abc");
        assert_eq!(decompress(b"abc").unwrap(), b"abc");
        assert!(decompress(&[0x1f, 0x8b, 9]).is_err());
    }
}
