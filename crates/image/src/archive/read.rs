//! Reads an archive: every file becomes a blob, then the lists say which of them are images.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use boxwright_core::{Digest, Error, ErrorKind, Result};

use super::{ImageInArchive, docker, oci};
use crate::decompress::decompress;
use crate::layout::Layout;
use crate::manifest::DOCUMENT_LIMIT;
use crate::tar::{Kind, Limits, Reader, clean_path};

/// How many links a name may lead through.
const MOST_LINKS: usize = 8;

/// What an archive holds, once it was read.
#[derive(Debug, Default)]
pub(super) struct Contents {
    files: BTreeMap<PathBuf, (Digest, u64)>,
    links: BTreeMap<PathBuf, PathBuf>,
    index: Option<Vec<u8>>,
    manifest: Option<Vec<u8>>,
}

impl Contents {
    /// Returns the blob that the file `path` became. Old docker archives name equal layers by links.
    pub(super) fn blob(&self, path: &str) -> Option<&(Digest, u64)> {
        let mut path = clean_path(path.as_bytes()).ok()?;
        for _ in 0..MOST_LINKS {
            match self.links.get(&path) {
                Some(target) => path.clone_from(target),
                None => break,
            }
        }
        self.files.get(&path)
    }
}

pub(super) fn images(archive: impl Read + Send, layout: &Layout) -> Result<Vec<ImageInArchive>> {
    let limits = Limits::default();
    let (_, plain) = decompress(archive, &limits)?;
    let contents = contents(plain, limits, layout)?;
    // Docker 25 and newer write both lists; the index is the one with manifests.
    let mut images = match (&contents.index, &contents.manifest) {
        (Some(index), _) => oci::images(index, layout)?,
        (None, Some(manifest)) => docker::images(manifest, &contents, layout)?,
        (None, None) => {
            return Err(not_an_archive("it has neither `index.json` nor `manifest.json`"));
        }
    };
    if let (Some(_), Some(manifest)) = (&contents.index, &contents.manifest) {
        docker::add_names(manifest, &contents, &mut images)?;
    }
    if images.is_empty() {
        return Err(not_an_archive("it lists no image that is all there"));
    }
    for image in &mut images {
        image.names.sort();
        image.names.dedup();
    }
    Ok(images)
}

fn contents(plain: impl Read, limits: Limits, layout: &Layout) -> Result<Contents> {
    let mut reader = Reader::new(plain, limits);
    let mut contents = Contents::default();
    while let Some(header) = reader.next_entry()? {
        let path = header.path;
        match header.kind {
            Kind::File { .. } if path == Path::new("index.json") => {
                contents.index = Some(document(&mut reader, "index.json")?);
            }
            Kind::File { .. } if path == Path::new("manifest.json") => {
                contents.manifest = Some(document(&mut reader, "manifest.json")?);
            }
            Kind::File { .. } => {
                let blob = layout.write_blocking(&mut reader, digest_in(&path).as_ref())?;
                contents.links.remove(&path);
                contents.files.insert(path, blob);
            }
            Kind::HardLink { target } => drop(contents.links.insert(path, target)),
            Kind::Symlink { target } => {
                // A link out of the archive leads nowhere, since only its own files are looked up.
                if let Some(target) = target_in_archive(&path, &target) {
                    contents.links.insert(path, target);
                }
            }
            _ => {}
        }
    }
    reader.finish()?;
    Ok(contents)
}

/// Returns the digest that the path of a blob in a layout promises.
fn digest_in(path: &Path) -> Option<Digest> {
    let mut parts = path.strip_prefix("blobs").ok()?.iter().map(|part| part.to_str());
    let (algorithm, hex) = (parts.next()??, parts.next()??);
    format!("{algorithm}:{hex}").parse().ok()
}

fn target_in_archive(link: &Path, target: &Path) -> Option<PathBuf> {
    let mut path = link.parent()?.to_owned();
    for part in target.components() {
        match part {
            std::path::Component::Normal(name) => path.push(name),
            std::path::Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            std::path::Component::CurDir => {}
            _ => return None,
        }
    }
    Some(path)
}

fn document(reader: &mut impl Read, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes).map_err(crate::read_error)?;
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(Error::new(ErrorKind::Exhausted, "cannot read the archive")
            .with_cause(format!("its `{name}` has more than {DOCUMENT_LIMIT} bytes")));
    }
    Ok(bytes)
}

pub(super) fn not_an_archive(cause: impl Into<String>) -> Error {
    Error::new(ErrorKind::Protocol, "cannot read the archive")
        .with_cause(cause)
        .with_remedy("give an archive that `boxwright`, `docker save` or `podman save` wrote")
}
