//! Writes a canonical layer into a store.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use boxwright_core::{Descriptor, Error, ErrorKind, Result};

use super::sink::Sink;
use super::{StoredLayer, canonical};
use crate::layout::{Layout, cannot_write, temporary};
use crate::manifest::media_type::OCI_LAYER_GZIP;
use crate::tar::{Header, Kind, Writer};

/// Writes a canonical layer: entries in the order of their paths, each folder before what is in it.
///
/// The layer is hashed and compressed while it is written, and no byte of it is read again. Unless
/// [`LayerWriter::finish`] is reached, nothing of it is kept.
#[derive(Debug)]
pub struct LayerWriter {
    layout: Layout,
    tar: Writer<Sink>,
    last: Option<PathBuf>,
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl LayerWriter {
    /// Begins a layer in `layout`. Its methods block.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the store cannot be written.
    pub fn new(layout: &Layout) -> Result<Self> {
        let file = temporary(&layout.ingest());
        let file = file.map_err(|error| cannot_write(layout.folder(), error))?;
        let tar = Writer::new(Sink::new(file));
        let (folders, files) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { layout: layout.clone(), tar, last: None, folders, files })
    }

    /// Writes an entry in its canonical form. `content` is that of a regular file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when no layer can have the entry, or the file changes while it is read;
    /// [`ErrorKind::Bug`] when its place is not after what was written before.
    pub fn add(&mut self, header: &Header, content: &mut dyn Read) -> Result<()> {
        let header = canonical::header(header).map_err(|cause| refused(&header.path, cause))?;
        self.place(&header.path)?;
        match &header.kind {
            Kind::Folder => drop(self.folders.insert(header.path.clone())),
            Kind::File { .. } => drop(self.files.insert(header.path.clone())),
            Kind::HardLink { target } if !self.files.contains(target) => {
                return Err(bug(&header.path, "its target was not written before it"));
            }
            _ => {}
        }
        let written = match header.kind {
            Kind::File { .. } => self.tar.file(&header, &mut { content }),
            _ => self.tar.header(&header),
        };
        written.map_err(|error| self.failed(&header.path, error))
    }

    /// Ends the layer, and keeps it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Exhausted`] when the disk is full, [`ErrorKind::Unavailable`] when it cannot be written.
    pub fn finish(self) -> Result<StoredLayer> {
        let Self { layout, tar, .. } = self;
        let written = tar.finish().and_then(Sink::finish);
        let written = written.map_err(|error| cannot_write(layout.folder(), error))?;
        let (digest, size) = written.blob;
        let digest = layout.keep(written.file, digest, None)?;
        let descriptor = Descriptor { media_type: OCI_LAYER_GZIP.to_owned(), digest, size };
        Ok(StoredLayer { descriptor, diff_id: written.plain.0, size: written.plain.1 })
    }

    fn place(&mut self, path: &Path) -> Result<()> {
        if self.last.as_deref().is_some_and(|last| last >= path) {
            return Err(bug(path, "it comes after a path that it should be before"));
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        if !parent.as_os_str().is_empty() && !self.folders.contains(parent) {
            return Err(bug(path, "its folder was not written before it"));
        }
        self.last = Some(path.to_owned());
        Ok(())
    }

    fn failed(&self, path: &Path, error: io::Error) -> Error {
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                refused(path, error.to_string())
                    .with_remedy("let nothing change the files while they are read")
            }
            Err(error) => cannot_write(self.layout.folder(), error),
        }
    }
}

fn refused(path: &Path, cause: String) -> Error {
    let message = format!("cannot put `/{}` into a layer", path.display());
    Error::new(ErrorKind::InvalidInput, message).with_cause(cause)
}

fn bug(path: &Path, cause: &str) -> Error {
    let message = format!("cannot put `/{}` into a layer", path.display());
    Error::new(ErrorKind::Bug, message).with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str) -> Header {
        Header::new(path, Kind::Folder, 0o755)
    }

    fn file(path: &str, size: usize) -> Header {
        Header::new(path, Kind::File { size: size as u64 }, 0o644)
    }

    fn write(entries: &[(Header, &str)]) -> Result<StoredLayer> {
        let store = tempfile::tempdir().unwrap();
        let mut layer = LayerWriter::new(&Layout::open(store.path()).unwrap())?;
        for (header, content) in entries {
            layer.add(header, &mut content.as_bytes())?;
        }
        layer.finish()
    }

    /// Fails when the writer, the compressor or its level change: then the digests of all images do.
    #[test]
    fn the_bytes_of_a_known_layer_never_change() {
        let mut long = file(&format!("etc/{}", "x".repeat(120)), 0);
        long.modified = (-1, 5);
        let layer = write(&[(folder("etc"), ""), (file("etc/name", 4), "api\n"), (long, "")]);
        let layer = layer.unwrap();
        assert_eq!(
            (layer.diff_id.as_str(), layer.descriptor.digest.as_str()),
            (
                "sha256:51169c2cf18c772ef54e285b01bda05172788d1678b3af0008e3d6d90c0b3967",
                "sha256:bbeea826068c3a51f85c29db9852127e5b21ef68b696f3e9df95ddbeec330287"
            )
        );
        assert_eq!(layer.size, 4096);
    }

    #[test]
    fn entries_have_one_order() {
        let late = write(&[(file("b", 0), ""), (file("a", 0), "")]);
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Bug);
        let orphan = write(&[(file("a/b", 0), "")]);
        assert_eq!(orphan.unwrap_err().kind(), ErrorKind::Bug);
        let dangling = Header::new("b", Kind::HardLink { target: "a".into() }, 0o644);
        assert_eq!(write(&[(dangling.clone(), "")]).unwrap_err().kind(), ErrorKind::Bug);
        assert!(write(&[(file("a", 1), "x"), (dangling, "")]).is_ok());
    }

    #[test]
    fn a_file_that_shrinks_leaves_nothing_in_the_store() {
        let store = tempfile::tempdir().unwrap();
        let mut layer = LayerWriter::new(&Layout::open(store.path()).unwrap()).unwrap();
        let error = layer.add(&file("a", 5), &mut &b"1234"[..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        drop(layer);
        let left = |folder: &str| std::fs::read_dir(store.path().join(folder)).unwrap().count();
        assert_eq!((left("ingest"), left("blobs/sha256")), (0, 0));
    }
}
