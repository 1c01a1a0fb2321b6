//! Where built images, base images, and results of steps are kept.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use boxwright_core::{
    CacheUse, Descriptor, Digest, Error, ErrorKind, ImageRef, Manifest, Platform, Result,
};
use boxwright_image::layout::Layout;
use boxwright_image::pack::{PackFormat, Packer};
use boxwright_image::upkeep::User;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::blocking;
use crate::images::{IMAGES, NAMES, is_damage};
use crate::memory::FileMemory;

/// An OCI layout with indexes beside it: images, their names, which of them were built here, and results of steps.
/// Cheap to clone.
///
/// Layers of built images are kept as plain tars, and those of pulled images as they came. What is pushed or
/// exported is the packed image: see [`Store::packed`].
///
/// Every file is written beside and renamed, so that concurrent builds and a kill leave it whole.
#[derive(Clone, Debug)]
pub struct Store {
    layout: Layout,
    packer: Packer,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// When, in seconds since 1970.
    pub(crate) created: i64,
    /// Its layer, if it made one: the blob and the diff id.
    pub(crate) layer: Option<(Descriptor, Digest)>,
}

/// An image that was built here.
#[derive(Debug, Serialize, Deserialize)]
struct Built {
    manifest: Digest,
}

pub(crate) const STEPS: &str = "steps";
pub(crate) const BUILT: &str = "built";
/// Indexes that an engine has one image of.
pub(crate) const PUBLISHED: &str = "published";
pub(crate) const FILES: &str = "files";
/// Files of the web, by their addresses.
pub(crate) const WEB: &str = "web";

impl Store {
    /// Opens the store in `folder`, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the folder cannot be made or written.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let layout = Layout::open(folder)?;
        for index in [STEPS, IMAGES, NAMES, BUILT, PUBLISHED, FILES, WEB] {
            let folder = layout.folder().join(index);
            std::fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
        }
        let packer = Packer::new(layout.clone());
        Ok(Self { layout, packer })
    }

    /// Returns the blobs.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns what compresses layers of this store.
    #[must_use]
    pub fn packer(&self) -> &Packer {
        &self.packer
    }

    /// Returns the image as it is pushed and exported: one that was built here with its layers compressed,
    /// any other as it came. The image's id stays the same.
    ///
    /// # Errors
    ///
    /// As [`Packer::layer`].
    pub async fn packed(&self, manifest: &Manifest, format: PackFormat) -> Result<Manifest> {
        if self.is_built(manifest) {
            return self.packer.manifest(manifest, format).await;
        }
        Ok(manifest.clone())
    }

    /// Returns the digest that a registry gives the image, if that is known without compressing a layer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the store cannot be read.
    pub async fn packed_digest(
        &self,
        manifest: &Manifest,
        format: PackFormat,
    ) -> Result<Option<Digest>> {
        if self.is_built(manifest) {
            return Ok(self.packer.known(manifest, format).await?.map(|packed| packed.digest));
        }
        Ok(Some(manifest.descriptor.digest.clone()))
    }

    /// Returns the image with this id that was built here, if there is one and all of it is there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the store cannot be read.
    pub async fn built(&self, id: &Digest) -> Result<Option<Manifest>> {
        match self.read::<Built>(BUILT, id.hex()) {
            Some(built) => self.whole(&built.manifest).await,
            None => Ok(None),
        }
    }

    /// Returns the image with this id, built here or not, if there is one and all of it is there.
    pub(crate) async fn whole_image(&self, id: &Digest) -> Result<Option<Manifest>> {
        if let Some(built) = self.built(id).await? {
            return Ok(Some(built));
        }
        match self.kept(id.hex()) {
            Some(manifest) => self.whole(&manifest).await,
            None => Ok(None),
        }
    }

    pub(crate) fn is_built(&self, manifest: &Manifest) -> bool {
        let built: Option<Built> = self.read(BUILT, manifest.config.digest.hex());
        built.is_some_and(|built| built.manifest == manifest.descriptor.digest)
    }

    /// Notes that the image `id` was built here.
    pub(crate) fn note_built(&self, id: &Digest, manifest: &Digest) -> Result<()> {
        self.write(BUILT, id.hex(), &Built { manifest: manifest.clone() })
    }

    /// Returns the image of this name, if there is one and all of it is there; of an index the image for `platform`,
    /// by default this machine's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the store cannot be read.
    pub async fn find(
        &self,
        name: &ImageRef,
        platform: Option<&Platform>,
    ) -> Result<Option<Manifest>> {
        let Some(named) = self.name_note(name) else { return Ok(None) };
        let Some(index) = self.index(&named.manifest).await? else {
            return self.whole(&named.manifest).await;
        };
        let here = Platform::of_this_machine();
        match index.image_for(platform.unwrap_or(&here)) {
            Some(image) => self.whole(&image.descriptor.digest).await,
            None => Ok(None),
        }
    }

    /// Returns the image with this manifest, if all of it is there.
    async fn whole(&self, manifest: &Digest) -> Result<Option<Manifest>> {
        let manifest = match self.layout.manifest(manifest).await {
            Ok(manifest) => manifest,
            // Something took it away, or damaged it: it is as good as not there.
            Err(error) if is_damage(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        for (layer, _) in &manifest.layers {
            if self.use_blob(&layer.digest).await? != Some(layer.size) {
                return Ok(None);
            }
        }
        self.use_blob(&manifest.config.digest).await?;
        self.use_blob(&manifest.descriptor.digest).await?;
        Ok(Some(manifest))
    }

    /// Notes that what is in the store is used, until the returned value is dropped: nothing that is written or
    /// found meanwhile is removed by [`Store::prune`]. [`Builder::build`](crate::Builder::build) and
    /// [`Store::push`] do so themselves.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] when the store stays locked for a minute, [`ErrorKind::Unavailable`] when it
    /// cannot be written.
    pub async fn enter(&self) -> Result<User> {
        let layout = self.layout.clone();
        blocking(move || layout.enter()).await
    }

    pub(crate) async fn use_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        let (layout, digest) = (self.layout.clone(), digest.clone());
        blocking(move || layout.use_blob(&digest)).await
    }

    /// Returns what the step of `key` came to, unless its layer is gone.
    pub(crate) async fn step(&self, key: &str) -> Result<Option<Record>> {
        let Some(record) = self.read::<Record>(STEPS, key) else { return Ok(None) };
        if let Some((layer, _)) = &record.layer
            && self.use_blob(&layer.digest).await? != Some(layer.size)
        {
            return Ok(None);
        }
        Ok(Some(record))
    }

    /// Returns what is known of the files in `folder`.
    pub(crate) fn file_memory(&self, folder: &Path) -> FileMemory {
        FileMemory::open(&self.layout.folder().join(FILES), folder)
    }

    /// Notes what the step of `key` came to, and returns what counts from now on. Where another build did the same step
    /// meanwhile, that is what the other one noted: both end with the same image. Who ignores the cache replaces it.
    pub(crate) async fn remember(
        &self,
        key: &str,
        record: Record,
        cache: CacheUse,
    ) -> Result<Record> {
        if cache == CacheUse::Use {
            if self.write_new(STEPS, key, &record)? {
                return Ok(record);
            }
            if let Some(first) = self.step(key).await? {
                return Ok(first);
            }
        }
        self.write(STEPS, key, &record)?;
        Ok(record)
    }

    /// What cannot be read is not there: it is made again.
    pub(crate) fn read<T: DeserializeOwned>(&self, index: &str, name: &str) -> Option<T> {
        let bytes = std::fs::read(self.layout.folder().join(index).join(name)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    pub(crate) fn write(&self, index: &str, name: &str, value: &impl Serialize) -> Result<()> {
        let folder = self.layout.folder().join(index);
        let write = || -> io::Result<()> {
            beside(&folder, value)?.persist(folder.join(name))?;
            Ok(())
        };
        write().map_err(|error| cannot_write(&folder, error))
    }

    /// Writes what is not there yet. Returns whether it was written.
    fn write_new(&self, index: &str, name: &str, value: &impl Serialize) -> Result<bool> {
        let folder = self.layout.folder().join(index);
        let write = || -> io::Result<bool> {
            match beside(&folder, value)?.persist_noclobber(folder.join(name)) {
                Ok(_) => Ok(true),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error.error),
            }
        };
        write().map_err(|error| cannot_write(&folder, error))
    }
}

/// Writes a file that is gone unless it is renamed.
fn beside(folder: &Path, value: &impl Serialize) -> io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    Ok(file)
}

pub(crate) fn cannot_write(folder: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Exhausted,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("cannot write to `{}`", folder.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_of_two_builds_of_one_step_counts_threat_40() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let record = |created| Record { created, layer: None };
        let first = store.remember("key", record(1), CacheUse::Use).await.unwrap();
        let second = store.remember("key", record(2), CacheUse::Use).await.unwrap();
        assert_eq!((first, second), (record(1), record(1)));
        let anew = store.remember("key", record(3), CacheUse::Ignore).await.unwrap();
        assert_eq!(anew, record(3));
        assert_eq!(store.step("key").await.unwrap(), Some(record(3)));
        // A record whose layer is gone counts for nothing.
        let digest = boxwright_image::manifest::digest_of(b"gone");
        let lost = Descriptor { media_type: String::new(), digest: digest.clone(), size: 4 };
        let gone = Record { created: 4, layer: Some((lost, digest)) };
        store.remember("key", gone, CacheUse::Ignore).await.unwrap();
        let mended = store.remember("key", record(5), CacheUse::Use).await.unwrap();
        assert_eq!(mended, record(5));
    }
}
