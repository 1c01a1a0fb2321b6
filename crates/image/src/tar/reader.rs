//! Reads a tar, and trusts nothing in it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Result};

use super::extended::{Extended, broken, check_global, one_of, records, set_once, xattrs};
use super::raw::{self, Raw};
use super::{BLOCK, Header, Kind, number, padding, path};

/// How much of a tar is taken. Each limit is named in the error of what exceeds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many entries. Default: 4,000,000.
    pub entries: u64,
    /// How many bytes a path may have. Default: 4,096, as on Linux.
    pub path_bytes: usize,
    /// How many bytes the extended headers of one entry may have. Default: 1 MiB.
    pub header_bytes: u64,
    /// How many bytes all content may have. Default: 256 GiB.
    pub content_bytes: u64,
    /// How many bytes one compressed byte may become, above 256 MiB. Default: 2,000; gzip never exceeds 1,032.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            path_bytes: 4096,
            header_bytes: 1 << 20,
            content_bytes: 256 << 30,
            ratio: 2000,
        }
    }
}

/// Reads the entries of a tar one after the other. Reading from it gives the content of the current one.
#[derive(Debug)]
pub struct Reader<R> {
    inner: R,
    limits: Limits,
    /// Content of the current entry that is still to be read.
    remaining: u64,
    /// Padding behind it.
    padding: usize,
    entries: u64,
    content: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Returns a reader of the tar that `inner` gives.
    pub fn new(inner: R, limits: Limits) -> Self {
        Self { inner, limits, remaining: 0, padding: 0, entries: 0, content: 0, ended: false }
    }

    /// Goes on to the next entry, past what is left of the current one. `None` is the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] when it is no tar or is cut short, [`ErrorKind::InvalidInput`] when an entry
    /// is hostile, [`ErrorKind::Exhausted`] when a limit is exceeded, [`ErrorKind::Unsupported`] for sparse files.
    pub fn next_entry(&mut self) -> Result<Option<Header>> {
        let mut extended = Extended::default();
        let mut header_bytes = 0;
        loop {
            self.skip_content()?;
            let Some(block) = self.next_block()? else {
                if extended.is_empty() {
                    return Ok(None);
                }
                return Err(broken("an extended header is followed by nothing"));
            };
            let raw =
                Raw::new(&block).ok_or_else(|| broken("the checksum of a header is wrong"))?;
            let size = raw.size().and_then(|size| u64::try_from(size).ok());
            let size = size.ok_or_else(|| broken("the size of an entry is no number"))?;
            if !matches!(raw.type_flag(), b'x' | b'g' | b'L' | b'K') {
                return self.entry(&raw, size, extended).map(Some);
            }
            header_bytes += size;
            if header_bytes > self.limits.header_bytes {
                let limit = self.limits.header_bytes;
                return Err(over(format!("the extended header of an entry is over {limit} bytes")));
            }
            self.expect_content(size);
            let mut bytes = Vec::new();
            self.read_to_end(&mut bytes).map_err(crate::read_error)?;
            match raw.type_flag() {
                b'x' => set_once(&mut extended.records, records(&bytes)?)?,
                b'g' => check_global(&records(&bytes)?)?,
                b'L' => set_once(&mut extended.name, raw::until_nul(&bytes).to_vec())?,
                _ => set_once(&mut extended.link, raw::until_nul(&bytes).to_vec())?,
            }
        }
    }

    /// Reads what follows the last entry, to the end of the stream, so that a digest covers every byte.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when it is more than padding.
    pub fn finish(mut self) -> Result<R> {
        let mut buffer = [0; 8192];
        loop {
            match self.inner.read(&mut buffer) {
                Ok(0) => return Ok(self.inner),
                Ok(count) if buffer[..count].iter().all(|&b| b == 0) => {}
                // A second archive behind the end is seen by some readers and not by others.
                Ok(_) => {
                    return Err(Error::new(ErrorKind::InvalidInput, "cannot read the archive")
                        .with_cause("something follows its end"));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(crate::read_error(error)),
            }
        }
    }

    fn entry(&mut self, raw: &Raw<'_>, header_size: u64, extended: Extended) -> Result<Header> {
        let records = extended.records.unwrap_or_default();
        let name = one_of(records.get("path"), extended.name, || raw.name())?;
        let shown = String::from_utf8_lossy(&name).into_owned();
        let hostile = |cause: &str| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("cannot read the archive's entry `{shown}`"),
            )
            .with_cause(cause)
        };
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(over(format!("it has more than {} entries", self.limits.entries)));
        }
        if let Some(sparse) = records.keys().find(|key| key.starts_with("GNU.sparse.")) {
            return Err(sparse_file(&shown).with_context("record", sparse));
        }
        let path = path::clean(&name, self.limits.path_bytes).map_err(|cause| hostile(&cause))?;
        let number = |key: &str, field: Option<i64>| match records.get(key) {
            Some(value) => std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
            None => field,
        };
        let id = |value: Option<i64>| {
            let id = value.and_then(|value| u32::try_from(value).ok());
            // The last number means "leave it as it is" to Linux.
            id.filter(|&id| id != u32::MAX)
                .ok_or_else(|| hostile("its owner or group is out of range"))
        };
        // PAX wins over the header, also about where the next entry begins.
        let size = number("size", i64::try_from(header_size).ok())
            .and_then(|size| u64::try_from(size).ok())
            .ok_or_else(|| hostile("its size is no number"))?;
        let link = one_of(records.get("linkpath"), extended.link, || raw.link_name())?;
        let kind = self.kind(raw, &name, size, &link).map_err(|(kind, cause)| {
            Error::new(kind, format!("cannot read the archive's entry `{shown}`")).with_cause(cause)
        })?;
        if path.as_os_str().is_empty() && kind != Kind::Folder {
            return Err(hostile("it stands for the root and is no folder"));
        }
        let content = if let Kind::File { size } = kind { size } else { 0 };
        self.content = self.content.saturating_add(content);
        if self.content > self.limits.content_bytes {
            let limit = self.limits.content_bytes;
            return Err(over(format!("its files have more than {limit} bytes together")));
        }
        let modified = match records.get("mtime") {
            Some(text) => std::str::from_utf8(text).ok().and_then(number::parse_time),
            None => raw.modified().map(|seconds| (seconds, 0)),
        };
        let header = Header {
            path,
            kind,
            mode: raw.mode().ok_or_else(|| hostile("its mode is no number"))? as u32 & 0o7777,
            uid: id(number("uid", raw.uid()))?,
            gid: id(number("gid", raw.gid()))?,
            modified: modified.ok_or_else(|| hostile("its time is no number"))?,
            xattrs: xattrs(records).map_err(|cause| hostile(&cause))?,
        };
        self.expect_content(content);
        Ok(header)
    }

    fn kind(
        &self,
        raw: &Raw<'_>,
        name: &[u8],
        size: u64,
        link: &[u8],
    ) -> Result<Kind, (ErrorKind, String)> {
        let hostile = |cause: &str| (ErrorKind::InvalidInput, cause.to_owned());
        let device = || raw.device().ok_or_else(|| hostile("its device is no number"));
        let kind = match raw.type_flag() {
            0 | b'0' | b'7' if name.ends_with(b"/") => Kind::Folder,
            0 | b'0' | b'7' => Kind::File { size },
            b'1' => {
                let target = path::clean(link, self.limits.path_bytes)
                    .map_err(|cause| hostile(&cause.replacen("its name", "its target", 1)))?;
                Kind::HardLink { target }
            }
            b'2' if link.is_empty() || link.contains(&0) || link.len() > self.limits.path_bytes => {
                return Err(hostile("its target is empty, too long, or has a NUL"));
            }
            b'2' => Kind::Symlink { target: to_path(link) },
            b'3' => device().map(|(major, minor)| Kind::CharacterDevice { major, minor })?,
            b'4' => device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
            b'5' => Kind::Folder,
            b'6' => Kind::Fifo,
            b'S' => return Err((ErrorKind::Unsupported, "sparse files are not read".into())),
            other => {
                let cause = format!("its type `{}` is unknown", char::from(other).escape_default());
                return Err((ErrorKind::Unsupported, cause));
            }
        };
        // Some readers skip such content and others take it for the next entry.
        if size != 0 && !matches!(kind, Kind::File { .. }) {
            return Err(hostile("it has content and is no file"));
        }
        Ok(kind)
    }

    fn expect_content(&mut self, size: u64) {
        self.remaining = size;
        self.padding = padding(size);
    }

    fn skip_content(&mut self) -> Result<()> {
        let left = self.remaining.saturating_add(self.padding as u64);
        let skipped = io::copy(&mut (&mut self.inner).take(left), &mut io::sink());
        if skipped.map_err(crate::read_error)? < left {
            return Err(broken("it is cut short"));
        }
        self.expect_content(0);
        Ok(())
    }

    /// Reads the next header block; `None` is the end.
    fn next_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        if self.ended {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        let count = read_full(&mut self.inner, &mut block).map_err(crate::read_error)?;
        if count == 0 || (count == BLOCK && block == [0; BLOCK]) {
            self.ended = true;
            return Ok(None);
        }
        if count < BLOCK {
            return Err(broken("it is cut short"));
        }
        Ok(Some(block))
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::other(broken("it is cut short")));
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}

fn read_full(inner: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match inner.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn to_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned()
}

fn over(cause: String) -> Error {
    Error::new(ErrorKind::Exhausted, "cannot read the archive").with_cause(cause)
}

fn sparse_file(name: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("cannot read the archive's entry `{name}`"))
        .with_cause("sparse files are not read")
        .with_remedy("make the archive without `--sparse`")
}
