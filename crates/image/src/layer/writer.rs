//! Writes canonical layers.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use boxwright_core::{Descriptor, Digest, Error, ErrorKind, Result};
use tempfile::NamedTempFile;

use super::sink::Sink;
use super::{StoredLayer, canonical};
use crate::layout::{Layout, cannot_write, temporary};
use crate::manifest::media_type::OCI_LAYER;
use crate::tar::{Header, Kind, Writer};

/// Writes a canonical layer into a store, under the digest of its tar: its diff id.
///
/// The layer is hashed while it is written, and no byte of it is read again; it is compressed when it is
/// needed so, by a [`Packer`](crate::pack::Packer). Unless [`LayerWriter::finish`] is reached, nothing of it is kept.
#[derive(Debug)]
pub struct LayerWriter {
    layout: Layout,
    tar: CanonicalWriter<NamedTempFile>,
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
        let tar = CanonicalWriter::new(file, layout.folder());
        Ok(Self { layout: layout.clone(), tar })
    }

    /// Writes an entry; see [`CanonicalWriter::add`].
    ///
    /// # Errors
    ///
    /// As [`CanonicalWriter::add`].
    pub fn add(&mut self, header: &Header, content: &mut dyn Read) -> Result<()> {
        self.tar.add(header, content)
    }

    /// Ends the layer, and keeps it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Exhausted`] when the disk is full, [`ErrorKind::Unavailable`] when it cannot be written.
    pub fn finish(self) -> Result<StoredLayer> {
        self.end()?.keep()
    }

    /// Ends the layer. It is gone when it is dropped and not kept.
    ///
    /// # Errors
    ///
    /// As [`LayerWriter::finish`].
    pub fn end(self) -> Result<EndedLayer> {
        let (file, diff_id, size) = self.tar.finish()?;
        Ok(EndedLayer { layout: self.layout, file, diff_id, size })
    }
}

/// A layer that is written and not in the store yet.
#[derive(Debug)]
pub struct EndedLayer {
    layout: Layout,
    file: NamedTempFile,
    diff_id: Digest,
    size: u64,
}

impl EndedLayer {
    /// Keeps the layer.
    ///
    /// # Errors
    ///
    /// As [`LayerWriter::finish`].
    pub fn keep(self) -> Result<StoredLayer> {
        let Self { layout, file, diff_id, size } = self;
        layout.keep(file, diff_id.clone(), None)?;
        let media_type = OCI_LAYER.to_owned();
        let descriptor = Descriptor { media_type, digest: diff_id.clone(), size };
        Ok(StoredLayer { descriptor, diff_id, size })
    }
}

/// Writes the tar of a canonical layer: entries in the order of their paths, each folder before what is in it.
#[derive(Debug)]
pub struct CanonicalWriter<W: Write> {
    /// Where it goes, for messages.
    destination: PathBuf,
    tar: Writer<Sink<W>>,
    last: Option<PathBuf>,
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl<W: Write> CanonicalWriter<W> {
    /// Returns a writer to `out`, which is in or at `destination` as errors say it. Its methods block.
    pub fn new(out: W, destination: impl Into<PathBuf>) -> Self {
        let tar = Writer::new(Sink::new(out));
        let (folders, files) = (BTreeSet::new(), BTreeSet::new());
        Self { destination: destination.into(), tar, last: None, folders, files }
    }

    /// Writes an entry in its canonical form. `content` is that of a regular file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when no layer can have the entry, or the file changes while it is read;
    /// [`ErrorKind::Bug`] when its place is not after what was written before.
    pub fn add(&mut self, header: &Header, content: &mut dyn Read) -> Result<()> {
        let header = canonical::canonical_header(header).map_err(|cause| {
            refused(&header.path, cause).with_remedy("rename it, or leave it out of the image")
        })?;
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

    /// Ends the tar. Returns what took it, its digest, which is the layer's diff id, and its size in bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Exhausted`] when the disk is full, [`ErrorKind::Unavailable`] when it cannot be written.
    pub fn finish(self) -> Result<(W, Digest, u64)> {
        let written = self.tar.finish().and_then(Sink::finish);
        written.map_err(|error| cannot_write(&self.destination, error))
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
            Err(error) => cannot_write(&self.destination, error),
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

    /// Fails when the writer changes: then the digests of all images do.
    #[test]
    fn the_bytes_of_a_known_layer_never_change() {
        let mut long = file(&format!("etc/{}", "x".repeat(120)), 0);
        long.modified = (-1, 5);
        let layer = write(&[(folder("etc"), ""), (file("etc/name", 4), "api\n"), (long, "")]);
        let layer = layer.unwrap();
        assert_eq!(
            layer.diff_id.as_str(),
            "sha256:51169c2cf18c772ef54e285b01bda05172788d1678b3af0008e3d6d90c0b3967"
        );
        assert_eq!((layer.descriptor.digest, layer.size), (layer.diff_id, 4096));
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
