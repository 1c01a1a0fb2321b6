//! The entries of a layer before it is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_core::{CancellationToken, Digest, Error, ErrorKind, Result};
use boxwright_image::layer::{self, EndedLayer, LayerWriter};
use boxwright_image::layout::Layout;
use boxwright_image::tar::{Header, Kind};

use crate::files::{Files, Origin};
use crate::read::{self, Ahead};

/// The entries of a layer, by their paths.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) entries: BTreeMap<PathBuf, Entry>,
    /// Contents that are no files of the source.
    pub(crate) spool: Option<File>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) header: Header,
    pub(crate) content: Content,
    /// What is equal for hard links of one file.
    pub(crate) link: Option<(u64, u64)>,
    /// Whether it is a folder of the image that is there only because of what is in it.
    pub(crate) is_given: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Nothing,
    /// A file of the source, and the digest that it had when it was chosen. `None`: it was not read yet.
    Source(PathBuf, Option<Digest>),
    Text(Arc<str>),
    /// Offset and length in the spool.
    Spool(u64, u64),
}

impl Draft {
    /// Whether the layer would change nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.values().all(|entry| entry.is_given)
    }

    /// Sets the time of everything that the step writes.
    pub(crate) fn set_time(&mut self, seconds: i64) {
        for entry in self.entries.values_mut().filter(|entry| !entry.is_given) {
            entry.header.modified = (seconds, 0);
        }
    }

    /// Writes the layer. Blocks.
    pub(crate) fn write(
        mut self,
        layout: &Layout,
        files: &Files,
        cancel: &CancellationToken,
    ) -> Result<EndedLayer> {
        self.tie_links();
        self.spool_image(files)?;
        let sources = self.entries.values().filter_map(source_of).collect();
        read::ahead(sources, files, |ahead| self.write_entries(layout, ahead, cancel))
    }

    fn write_entries(
        &self,
        layout: &Layout,
        ahead: &mut Ahead<'_>,
        cancel: &CancellationToken,
    ) -> Result<EndedLayer> {
        let mut layer = LayerWriter::new(layout)?;
        for (path, entry) in &self.entries {
            if cancel.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "the build was cancelled"));
            }
            let header = Header { path: path.clone(), ..entry.header.clone() };
            match &entry.content {
                Content::Nothing => layer.add(&header, &mut io::empty())?,
                Content::Text(text) => layer.add(&header, &mut text.as_bytes())?,
                Content::Spool(start, length) => {
                    let mut spool = self.spool.as_ref().ok_or_else(no_spool)?;
                    spool.seek(SeekFrom::Start(*start)).map_err(boxwright_image::read_error)?;
                    layer.add(&header, &mut spool.take(*length))?;
                }
                Content::Source(source, digest) => {
                    let mut header = header;
                    let mut content = ahead.next(source)?;
                    if digest.is_none() {
                        header.xattrs = content.xattrs();
                    }
                    layer.add(&header, &mut content)?;
                    let found = content.finish()?;
                    if digest.as_ref().is_some_and(|digest| *digest != found) {
                        ahead.forget();
                        return Err(changed(source));
                    }
                }
            }
        }
        layer.end()
    }

    /// Makes the first of several hard links the file, and the others links to it.
    fn tie_links(&mut self) {
        let mut first: HashMap<(u64, u64), PathBuf> = HashMap::new();
        for (path, entry) in &mut self.entries {
            let Some(link) = entry.link else { continue };
            match first.get(&link) {
                Some(target) => {
                    entry.header.kind = Kind::HardLink { target: target.clone() };
                    entry.content = Content::Nothing;
                }
                None => drop(first.insert(link, path.clone())),
            }
        }
    }

    /// Brings the files of an image into the order of the draft: layers can be read from front to back alone.
    fn spool_image(&mut self, files: &Files) -> Result<()> {
        let Origin::Image { layout, layers, tree } = &files.origin else { return Ok(()) };
        let wanted: BTreeSet<PathBuf> = self.entries.values().filter_map(source_of).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut spool = match self.spool.take() {
            Some(spool) => spool,
            None => spool_file(layout)?,
        };
        let mut end = spool.seek(SeekFrom::End(0)).map_err(boxwright_image::read_error)?;
        let mut places: HashMap<PathBuf, (u64, u64)> = HashMap::new();
        let manifest = layer::chain(layers);
        layer::read_files(layout, &manifest, tree, &wanted, &mut |path, content| {
            let length = io::copy(content, &mut spool).map_err(boxwright_image::read_error)?;
            places.insert(path.to_owned(), (end, length));
            end += length;
            Ok(())
        })?;
        for entry in self.entries.values_mut() {
            let place = source_of(entry).and_then(|source| places.get(&source));
            if let Some(&(start, length)) = place {
                entry.content = Content::Spool(start, length);
            }
        }
        self.spool = Some(spool);
        Ok(())
    }
}

/// Opens a file without a name, beside the blobs, where there is room for what becomes one.
pub(crate) fn spool_file(layout: &Layout) -> Result<File> {
    tempfile::tempfile_in(layout.folder()).map_err(|error| {
        let message = format!("cannot write to `{}`", layout.folder().display());
        Error::new(ErrorKind::Unavailable, message).with_source(error)
    })
}

fn source_of(entry: &Entry) -> Option<PathBuf> {
    match &entry.content {
        Content::Source(source, _) => Some(source.clone()),
        _ => None,
    }
}

fn no_spool() -> Error {
    Error::new(ErrorKind::Bug, "a layer needs a content that was not kept")
}

fn changed(path: &Path) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot copy `/{}`", path.display()))
        .with_cause("it changed while it was read")
        .with_remedy("let nothing change the context while it is built")
}
