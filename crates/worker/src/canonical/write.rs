//! Writes a canonical folder as a tar.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use boxwright_core::{Digest, Error, ErrorKind, Result};
use boxwright_image::layer::canonical_header;
use boxwright_image::overlay::{Marks, Owners};
use boxwright_image::tar::{Header, Kind, Writer};
use sha2::Digest as _;

use super::entry::{Entry, names, open};
use super::lower::{mark, marked};
use crate::failure::on_path;
use crate::store::About;

/// Writes the layer in the folder `layer` of a store.
pub(crate) fn write_tar(
    layer: &Path,
    marks: Marks,
    owners: Owners,
    out: &mut dyn Write,
) -> Result<()> {
    let has_root = About::read(layer)?.has_root;
    write(&layer.join("fs"), has_root, marks, owners, out)
}

/// Returns the digest and the size of the tar of the folder `files`.
pub(crate) fn digest(
    files: &Path,
    has_root: bool,
    marks: Marks,
    owners: Owners,
) -> Result<(Digest, u64)> {
    let mut out = Hashing::default();
    write(files, has_root, marks, owners, &mut out)?;
    Ok((Digest::from_sha256(out.hasher.finalize().into()), out.size))
}

fn write(
    files: &Path,
    has_root: bool,
    marks: Marks,
    owners: Owners,
    out: &mut dyn Write,
) -> Result<()> {
    let mut layer = Layer { files, marks, owners, tar: Writer::new(out), first: HashMap::new() };
    if has_root {
        layer.entry(Path::new("")).map_err(|error| on_path("cannot read", files, error))?;
    }
    layer.folder(Path::new(""))?;
    layer.tar.finish().map_err(|error| crate::failure::system("cannot write the layer", error))?;
    Ok(())
}

struct Layer<'l> {
    files: &'l Path,
    marks: Marks,
    owners: Owners,
    tar: Writer<&'l mut dyn Write>,
    /// The first name of each file that has several.
    first: HashMap<(u64, u64), PathBuf>,
}

impl Layer<'_> {
    fn folder(&mut self, folder: &Path) -> Result<()> {
        let full = self.files.join(folder);
        let read = |error| on_path("cannot read", &full, error);
        let mut entries = Vec::new();
        for name in names(&full).map_err(read)? {
            let hidden = self.hidden(&full, &name).map_err(read)?;
            entries.push((hidden.as_deref().map(mark).unwrap_or(name), hidden.is_some()));
        }
        entries.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        for (name, hides) in entries {
            let path = folder.join(name);
            if hides {
                let header = Header::new(path, Kind::File { size: 0 }, 0);
                self.tar
                    .header(&header)
                    .map_err(|error| crate::failure::system("cannot write the layer", error))?;
                continue;
            }
            let is_folder = self.entry(&path).map_err(|error| {
                on_path("cannot put into a layer", &self.files.join(&path), error)
            })?;
            if is_folder {
                self.folder(&path)?;
            }
        }
        Ok(())
    }

    /// Returns the name of the layers below that the entry `name` hides, if it is there for that.
    fn hidden(&self, folder: &Path, name: &OsString) -> io::Result<Option<OsString>> {
        if self.marks == Marks::Names {
            return Ok(marked(name).map(ToOwned::to_owned));
        }
        let whiteout = Entry::read(&folder.join(name), self.owners)?.is_whiteout();
        Ok(whiteout.then(|| name.clone()))
    }

    /// Writes an entry, and returns whether it is a folder.
    fn entry(&mut self, path: &Path) -> io::Result<bool> {
        let full = self.files.join(path);
        let entry = Entry::read(&full, self.owners)?;
        let Some(mut kind) = entry.kind.clone() else {
            return Err(io::Error::other(bug("a socket is left in a reduced folder")));
        };
        if let (Kind::File { .. }, true) = (&kind, entry.links > 1) {
            match self.first.get(&entry.inode) {
                Some(target) => kind = Kind::HardLink { target: target.clone() },
                None => drop(self.first.insert(entry.inode, path.to_owned())),
            }
        }
        let header = canonical_header(&entry.header(path.to_owned(), kind)).map_err(|cause| {
            let message = format!("cannot put `/{}` into a layer", path.display());
            io::Error::other(Error::new(ErrorKind::InvalidInput, message).with_cause(cause))
        })?;
        match header.kind {
            Kind::File { .. } => self.tar.file(&header, &mut open(&full)?)?,
            _ => self.tar.header(&header)?,
        }
        Ok(header.kind == Kind::Folder)
    }
}

#[derive(Default)]
struct Hashing {
    hasher: sha2::Sha256,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn bug(message: &str) -> Error {
    Error::new(ErrorKind::Bug, message)
}
