//! The images of a store, and their names.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use boxwright_core::{Digest, Error, ErrorKind, ImageRef, Index, LocalImage, Manifest, Result};
use boxwright_image::config::ImageConfig;
use boxwright_image::manifest::digest_of;
use boxwright_image::timestamp;
use serde::{Deserialize, Serialize};

use crate::store::{Store, cannot_write};

/// The index of images, by the digits of their ids.
pub(crate) const IMAGES: &str = "images";
/// The index of names, by the digits of their own digest.
pub(crate) const NAMES: &str = "names";

/// An image of a store, or an index of several.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredImage {
    /// The index, if it is one. The manifest and the config are then those of the image for this machine, or else of
    /// the first.
    pub index: Option<Index>,
    /// Its manifest; of several that share a config, the one of the name that was asked for, else the newest.
    pub manifest: Manifest,
    /// Its config.
    pub config: ImageConfig,
    /// Its names, sorted.
    pub names: Vec<ImageRef>,
    /// Names by digest that it was pulled or pushed by, sorted.
    pub digests: Vec<ImageRef>,
}

impl StoredImage {
    /// Returns the image's id: the digest of its config, or that of the index.
    #[must_use]
    pub fn id(&self) -> &Digest {
        self.index.as_ref().map_or(&self.manifest.config.digest, |index| &index.descriptor.digest)
    }

    /// Returns whether it has no name, of either kind.
    pub(crate) fn is_nameless(&self) -> bool {
        self.names.is_empty() && self.digests.is_empty()
    }

    /// Returns when it was made, in seconds since 1970.
    #[must_use]
    pub fn created(&self) -> Option<i64> {
        self.config.created.as_deref().and_then(timestamp::seconds)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    manifest: Digest,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: ImageRef,
    pub(crate) manifest: Digest,
    /// The image, since several manifests may be of one; or the index.
    id: Digest,
}

impl Store {
    /// Keeps an image whose blobs are in the layout, and gives it `names`: all of them or none. A name is taken off
    /// another image that had it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the store cannot be written, [`ErrorKind::Exhausted`] when its disk is full.
    pub fn keep(&self, manifest: &Manifest, names: &[ImageRef]) -> Result<()> {
        self.note_kept(&manifest.config.digest, &manifest.descriptor.digest)?;
        self.name(manifest, names)
    }

    /// Notes that `id` is kept, by its manifest or index.
    pub(crate) fn note_kept(&self, id: &Digest, manifest: &Digest) -> Result<()> {
        self.write(IMAGES, id.hex(), &Kept { manifest: manifest.clone() })
    }

    /// Gives an image that is kept more `names`, as [`Store::keep`] does, with this manifest of it.
    ///
    /// # Errors
    ///
    /// As [`Store::keep`].
    pub fn name(&self, manifest: &Manifest, names: &[ImageRef]) -> Result<()> {
        self.name_as(&manifest.config.digest, &manifest.descriptor.digest, names)
    }

    pub(crate) fn name_as(&self, id: &Digest, digest: &Digest, names: &[ImageRef]) -> Result<()> {
        let mut before = Vec::new();
        for name in names {
            let had = self.name_note(name);
            let named = Named { name: name.clone(), manifest: digest.clone(), id: id.clone() };
            if let Err(error) = self.write(NAMES, &file_name(name), &named) {
                for (name, had) in before {
                    // The error that is told is the one that came first.
                    let _ = self.restore(name, had);
                }
                return Err(error);
            }
            before.push((name, had));
        }
        Ok(())
    }

    fn restore(&self, name: &ImageRef, had: Option<Named>) -> Result<()> {
        match had {
            Some(had) => self.write(NAMES, &file_name(name), &had),
            None => self.untag(name),
        }
    }

    /// Returns an image, by its name, its id, or the beginning of that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::InvalidInput`] when an id begins as that of several
    /// images does.
    pub async fn image(&self, image: &LocalImage) -> Result<StoredImage> {
        let digest = match image {
            LocalImage::Reference(name) => self.name_note(name).map(|named| named.manifest),
            LocalImage::Id(id) => self.kept(id.hex()),
            LocalImage::IdPrefix(prefix) => {
                let ids: Vec<String> = self.entries(IMAGES)?;
                let mut ids = ids.iter().filter(|id| id.starts_with(prefix.as_str()));
                let first = ids.next();
                if ids.next().is_some() {
                    let message = format!("`{image}` is not the id of one image");
                    return Err(Error::new(ErrorKind::InvalidInput, message)
                        .with_cause("the ids of several begin with it")
                        .with_remedy("give more digits of it"));
                }
                first.and_then(|id| self.kept(id))
            }
        };
        let found = match &digest {
            Some(digest) => self.read_image(digest, &self.all_names()?).await?,
            None => None,
        };
        found.ok_or_else(|| missing(image))
    }

    /// Returns all images and indexes, newest first. One whose manifest or config is gone or damaged is left out, and so
    /// is an image without a name that an index lists.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the store cannot be read.
    pub async fn images(&self) -> Result<Vec<StoredImage>> {
        let names = self.all_names()?;
        let mut images = Vec::new();
        for id in self.entries(IMAGES)? {
            let Some(digest) = self.kept(&id) else { continue };
            images.extend(self.read_image(&digest, &names).await?);
        }
        let indexes = images.iter().filter_map(|image| image.index.as_ref());
        let listed: BTreeSet<Digest> = indexes
            .flat_map(|index| index.images.iter().map(|(_, image)| image.config.digest.clone()))
            .collect();
        images.retain(|image| {
            image.index.is_some() || !image.is_nameless() || !listed.contains(image.id())
        });
        images.sort_by(|a, b| (b.created(), a.id().hex()).cmp(&(a.created(), b.id().hex())));
        Ok(images)
    }

    /// Takes a name away. The image stays.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the store cannot be written.
    pub fn untag(&self, name: &ImageRef) -> Result<()> {
        self.delete(NAMES, &file_name(name))
    }

    /// Takes an image and all of its names away. Its blobs stay until they are collected.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the store cannot be written.
    pub fn forget(&self, id: &Digest) -> Result<()> {
        for named in self.all_names()?.iter().filter(|named| named.id == *id) {
            self.untag(&named.name)?;
        }
        self.delete(IMAGES, id.hex())
    }

    pub(crate) fn name_note(&self, name: &ImageRef) -> Option<Named> {
        self.read::<Named>(NAMES, &file_name(name)).filter(|named| named.name == *name)
    }

    pub(crate) fn kept(&self, id: &str) -> Option<Digest> {
        self.read::<Kept>(IMAGES, id).map(|kept| kept.manifest)
    }

    async fn read_image(&self, digest: &Digest, names: &[Named]) -> Result<Option<StoredImage>> {
        let index = self.index(digest).await?;
        let of_index = index.as_ref().map(|index| index.representative().cloned());
        let read = async {
            let manifest = match of_index {
                Some(Some(manifest)) => manifest,
                Some(None) => return Err(Error::new(ErrorKind::NotFound, "an index of nothing")),
                None => self.layout().manifest(digest).await?,
            };
            let config = self.layout().config(&manifest).await?;
            Ok((manifest, config))
        };
        let (manifest, config) = match read.await {
            Ok(read) => read,
            Err(error) if is_damage(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut image =
            StoredImage { index, manifest, config, names: Vec::new(), digests: Vec::new() };
        let own = names.iter().filter(|named| named.id == *image.id());
        (image.digests, image.names) =
            own.map(|named| named.name.clone()).partition(|name| name.digest().is_some());
        image.digests.sort();
        image.names.sort();
        Ok(Some(image))
    }

    pub(crate) fn all_names(&self) -> Result<Vec<Named>> {
        let files = self.entries(NAMES)?;
        Ok(files.iter().filter_map(|file| self.read::<Named>(NAMES, file)).collect())
    }

    /// Lists the entries of an index. What is being written is none yet.
    pub(crate) fn entries(&self, index: &str) -> Result<Vec<String>> {
        let folder = self.layout().folder().join(index);
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&folder)? {
                names.extend(entry?.file_name().into_string().ok());
            }
            names.retain(|name| !name.starts_with('.'));
            Ok(names)
        };
        list().map_err(|error| cannot_read(&folder, error))
    }

    pub(crate) fn delete(&self, index: &str, name: &str) -> Result<()> {
        let file = self.layout().folder().join(index).join(name);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(cannot_write(&file, error))
            }
            _ => Ok(()),
        }
    }
}

fn file_name(name: &ImageRef) -> String {
    digest_of(name.to_string().as_bytes()).hex().to_owned()
}

/// Whether something took a blob away, or damaged it: it is as good as not there.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Protocol)
}

fn missing(image: &LocalImage) -> Error {
    let error = Error::new(ErrorKind::NotFound, format!("there is no image `{image}`"))
        .with_cause("Boxwright's store has none of that name");
    match image {
        LocalImage::Reference(name) => {
            error.with_remedy(format!("build it, or `boxwright pull {name}`"))
        }
        _ => error.with_remedy("see `boxwright images` for what there is"),
    }
}

fn cannot_read(folder: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot read `{}`", folder.display()))
        .with_source(error)
}
