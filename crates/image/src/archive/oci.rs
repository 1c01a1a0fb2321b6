//! Finds the images of an OCI image layout.

use std::collections::BTreeSet;

use boxwright_core::{Descriptor, Digest, Manifest, Result};

use super::ImageInArchive;
use super::read::not_an_archive;
use crate::layout::Layout;
use crate::manifest::{self, DOCUMENT_LIMIT, Document, ImageIndex, IndexEntry};

/// How deep lists of manifests may be nested.
const MOST_LEVELS: usize = 4;
/// How many manifests are looked at.
const MOST_MANIFESTS: usize = 10_000;

/// The annotations that name an image.
pub(super) const NAME: &str = "io.containerd.image.name";
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

struct Finder<'l> {
    layout: &'l Layout,
    seen: BTreeSet<Digest>,
    images: Vec<ImageInArchive>,
    looked_at: usize,
}

pub(super) fn images(index: &[u8], layout: &Layout) -> Result<Vec<ImageInArchive>> {
    let mut finder = Finder { layout, seen: BTreeSet::new(), images: Vec::new(), looked_at: 0 };
    let Document::Index(index) = manifest::parse(index, None)? else {
        return Err(not_an_archive("its `index.json` is no list of manifests"));
    };
    finder.list(&index, &[], 0)?;
    Ok(finder.images)
}

impl Finder<'_> {
    fn list(&mut self, index: &ImageIndex, names: &[String], level: usize) -> Result<()> {
        if level >= MOST_LEVELS {
            let cause = format!("its lists of manifests are nested deeper than {MOST_LEVELS}");
            return Err(not_an_archive(cause));
        }
        for entry in index.manifests.iter().filter(|entry| !entry.is_attestation()) {
            self.looked_at += 1;
            if self.looked_at > MOST_MANIFESTS {
                return Err(not_an_archive(format!("it has more than {MOST_MANIFESTS} manifests")));
            }
            let names: Vec<String> = names.iter().cloned().chain(names_of(entry)).collect();
            self.entry(&entry.descriptor, &names, level)?;
        }
        Ok(())
    }

    fn entry(&mut self, descriptor: &Descriptor, names: &[String], level: usize) -> Result<()> {
        let digest = &descriptor.digest;
        if let Some(known) =
            self.images.iter_mut().find(|i| i.manifest.descriptor.digest == *digest)
        {
            known.names.extend_from_slice(names);
            return Ok(());
        }
        if level > 0 && self.layout.size_blocking(digest)?.is_none() {
            // `docker save` lists platforms that it does not have.
            return Ok(());
        }
        let bytes = self.layout.read_blocking(digest, DOCUMENT_LIMIT)?;
        if bytes.len() as u64 != descriptor.size {
            let cause = format!("`{digest}` has {} bytes and not {}", bytes.len(), descriptor.size);
            return Err(not_an_archive(cause));
        }
        match manifest::parse(&bytes, Some(&descriptor.media_type))? {
            Document::Index(index) => {
                if !self.seen.insert(digest.clone()) {
                    return Ok(());
                }
                self.list(&index, names, level + 1)
            }
            Document::Manifest(document) => {
                let blobs = || std::iter::once(&document.config).chain(&document.layers);
                for blob in blobs() {
                    match self.layout.size_blocking(&blob.digest)? {
                        Some(size) if size == blob.size => {}
                        None if level > 0 => return Ok(()),
                        None => {
                            return Err(not_an_archive(format!("it lacks `{}`", blob.digest)));
                        }
                        Some(size) => {
                            let digest = &blob.digest;
                            let cause =
                                format!("`{digest}` has {size} bytes and not {}", blob.size);
                            return Err(not_an_archive(cause));
                        }
                    }
                }
                let manifest: Manifest = self.layout.manifest_blocking(digest)?;
                let platform = self.layout.config_blocking(&manifest.config)?.platform();
                let names = names.to_vec();
                self.images.push(ImageInArchive { manifest, platform, names });
                Ok(())
            }
        }
    }
}

fn names_of(entry: &IndexEntry) -> impl Iterator<Item = String> {
    let name = entry.annotations.get(NAME).or_else(|| entry.annotations.get(REF_NAME));
    name.cloned().into_iter()
}
