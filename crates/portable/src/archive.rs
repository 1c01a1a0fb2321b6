//! Archives that `ADD` unpacks.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::PathBuf;

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_image::decompress::decompress;
use boxwright_image::tar::{Header, Kind, Limits, Reader};

/// Returns whether a file is a tar, compressed or not. Blocks.
pub(crate) fn is(file: File) -> bool {
    let limits = Limits::default();
    let Ok((_, plain)) = decompress(file, &limits) else { return false };
    matches!(Reader::new(plain, limits).next_entry(), Ok(Some(_)))
}

/// An entry of an archive, with the place of its content in the spool.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) header: Header,
    /// Offset and length.
    pub(crate) content: (u64, u64),
    pub(crate) link: Option<(u64, u64)>,
}

/// Reads an archive, and adds the contents of its files to `spool`, which has `length` bytes. `archive` tells its
/// files from those of other archives. Blocks.
pub(crate) fn unpack(
    file: impl Read + Send,
    archive: u64,
    spool: &mut File,
    length: &mut u64,
) -> Result<Vec<Unpacked>> {
    let limits = Limits::default();
    let (_, plain) = decompress(file, &limits)?;
    let mut reader = Reader::new(plain, limits);
    let mut all: Vec<Unpacked> = Vec::new();
    // Where the files are among all, by their paths.
    let mut files: HashMap<PathBuf, usize> = HashMap::new();
    while let Some(header) = reader.next_entry()? {
        let number = all.len();
        match &header.kind {
            Kind::HardLink { target } => {
                let Some(&first) = files.get(target) else {
                    let path = header.path.display();
                    let error =
                        Error::new(ErrorKind::InvalidInput, format!("cannot unpack `{path}`"));
                    return Err(error
                        .with_cause("it is a hard link to what is not before it in the archive"));
                };
                let Unpacked { header: file, content, link } = &all[first];
                let linked = Header { path: header.path.clone(), ..file.clone() };
                let (content, link) = (*content, *link);
                files.insert(header.path, first);
                all.push(Unpacked { header: linked, content, link });
            }
            Kind::File { .. } => {
                let start = *length;
                *length += io::copy(&mut reader, spool).map_err(boxwright_image::read_error)?;
                files.insert(header.path.clone(), number);
                let (content, link) =
                    ((start, *length - start), Some((u64::MAX - archive, number as u64)));
                all.push(Unpacked { header, content, link });
            }
            _ => all.push(Unpacked { header, content: (0, 0), link: None }),
        }
    }
    reader.finish()?;
    spool.flush().map_err(boxwright_image::read_error)?;
    Ok(all)
}
