//! Writes a tar: the same entries give the same bytes.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{BLOCK, Header, Kind, number, padding, pax};

/// Writes the entries of a tar one after the other: ustar where that is enough, PAX where it is not.
#[derive(Debug)]
pub struct Writer<W> {
    inner: W,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Returns a writer of a tar to `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, buffer: Vec::new() }
    }

    /// Writes an entry without content, or an empty file.
    ///
    /// # Errors
    ///
    /// Whatever the inner writer fails with.
    pub fn header(&mut self, header: &Header) -> io::Result<()> {
        self.write_header(header)
    }

    /// Writes a file whose content is what `content` gives: exactly as much as the header says.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when `content` gives more or less, or whatever reading or writing fails
    /// with. The tar is then broken: let go of it without [`Writer::finish`].
    pub fn file(&mut self, header: &Header, content: &mut impl Read) -> io::Result<()> {
        self.write_header(header)?;
        let size = header.size();
        self.buffer.resize(256 << 10, 0);
        let mut left = size;
        loop {
            // One byte more than is left shows a file that grows while it is read.
            let most = usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX);
            let most = most.min(self.buffer.len());
            let count = match content.read(&mut self.buffer[..most]) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if count as u64 > left || (count == 0 && left > 0) {
                let how = if count == 0 { "shrank" } else { "grew" };
                let cause = format!("it {how} while it was read");
                return Err(io::Error::new(io::ErrorKind::InvalidData, cause));
            }
            if count == 0 {
                break;
            }
            self.inner.write_all(&self.buffer[..count])?;
            left -= count as u64;
        }
        self.inner.write_all(&[0; BLOCK][..padding(size)])
    }

    /// Writes the end of the tar.
    ///
    /// # Errors
    ///
    /// Whatever the inner writer fails with.
    pub fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn write_header(&mut self, header: &Header) -> io::Result<()> {
        let mut records = Vec::new();
        let mut block = [0; BLOCK];
        let mut name = header.path.as_os_str().as_bytes().to_vec();
        if name.is_empty() {
            name.push(b'.');
        }
        if header.kind == Kind::Folder {
            name.push(b'/');
        }
        text_field(&mut block[..100], "path", &name, &mut records);
        number::write_octal(&mut block[100..108], u64::from(header.mode & 0o7777));
        number_field(&mut block[108..116], "uid", u64::from(header.uid), &mut records);
        number_field(&mut block[116..124], "gid", u64::from(header.gid), &mut records);
        number_field(&mut block[124..136], "size", header.size(), &mut records);
        time_field(&mut block[136..148], header.modified, &mut records);
        let (flag, link, device) = match &header.kind {
            Kind::File { .. } => (b'0', None, None),
            Kind::HardLink { target } => (b'1', Some(target), None),
            Kind::Symlink { target } => (b'2', Some(target), None),
            Kind::CharacterDevice { major, minor } => (b'3', None, Some((*major, *minor))),
            Kind::BlockDevice { major, minor } => (b'4', None, Some((*major, *minor))),
            Kind::Folder => (b'5', None, None),
            Kind::Fifo => (b'6', None, None),
        };
        block[156] = flag;
        if let Some(link) = link {
            let link = link.as_os_str().as_bytes();
            text_field(&mut block[157..257], "linkpath", link, &mut records);
        }
        block[257..265].copy_from_slice(b"ustar\x0000");
        let (major, minor) = device.unwrap_or_default();
        let fits = number::write_octal(&mut block[329..337], u64::from(major))
            && number::write_octal(&mut block[337..345], u64::from(minor));
        if !fits {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "its device number is too large",
            ));
        }
        for (key, value) in &header.xattrs {
            pax::write(&mut records, &format!("{}{key}", pax::XATTR), value);
        }
        if !records.is_empty() {
            self.write_extended(&header.path, &records)?;
        }
        checksum(&mut block);
        self.inner.write_all(&block)
    }

    fn write_extended(&mut self, path: &Path, records: &[u8]) -> io::Result<()> {
        let mut block = [0; BLOCK];
        let last = path.file_name().map_or(&b"root"[..], OsStrExt::as_bytes);
        let name = [b"PaxHeaders.0/", &last[..last.len().min(80)]].concat();
        block[..name.len()].copy_from_slice(&name);
        number::write_octal(&mut block[100..108], 0o644);
        number::write_octal(&mut block[108..116], 0);
        number::write_octal(&mut block[116..124], 0);
        number::write_octal(&mut block[124..136], records.len() as u64);
        number::write_octal(&mut block[136..148], 0);
        block[156] = b'x';
        block[257..265].copy_from_slice(b"ustar\x0000");
        checksum(&mut block);
        self.inner.write_all(&block)?;
        self.inner.write_all(records)?;
        self.inner.write_all(&[0; BLOCK][..padding(records.len() as u64)])
    }
}

fn text_field(field: &mut [u8], key: &str, text: &[u8], records: &mut Vec<u8>) {
    let fits = text.len() <= field.len();
    let shown = &text[..text.len().min(field.len())];
    field[..shown.len()].copy_from_slice(shown);
    if !fits {
        pax::write(records, key, text);
    }
}

fn number_field(field: &mut [u8], key: &str, value: u64, records: &mut Vec<u8>) {
    if !number::write_octal(field, value) {
        number::write_octal(field, 0);
        pax::write(records, key, value.to_string().as_bytes());
    }
}

fn time_field(field: &mut [u8], time: (i64, u32), records: &mut Vec<u8>) {
    let whole = u64::try_from(time.0).ok();
    let fits = whole.is_some_and(|seconds| number::write_octal(field, seconds));
    if !fits {
        number::write_octal(field, 0);
    }
    if !fits || time.1 != 0 {
        pax::write(records, "mtime", number::time_text(time).as_bytes());
    }
}

fn checksum(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    number::write_octal(&mut block[148..155], sum);
}
