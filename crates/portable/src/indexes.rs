//! Indexes of a store: what several images of one name are known by.
//!
//! An index lists packed images, as a registry has them: so it has one digest everywhere, which is its id.

use boxwright_core::{Digest, Error, ImageRef, Index, LocalImage, PlatformImage, Result};
use boxwright_image::manifest::digest_of;
use serde::{Deserialize, Serialize};

use crate::images::{IMAGES, is_damage};
use crate::store::{PUBLISHED, Store};

/// That an engine has one image of an index under a name.
#[derive(Debug, Serialize, Deserialize)]
struct Published {
    /// Where the engine is.
    endpoint: String,
    name: ImageRef,
    manifest: Digest,
}

impl Store {
    /// Returns the index with this digest, if there is one and it can be read; `None` for the manifest of one image too.
    pub(crate) async fn index(&self, digest: &Digest) -> Result<Option<Index>> {
        match self.layout().index(digest).await {
            Ok(index) => Ok(Some(index)),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps an index whose images are kept, and gives it `names` as [`Store::keep`] does.
    ///
    /// # Errors
    ///
    /// As [`Store::keep`].
    pub fn keep_index(&self, index: &Index, names: &[ImageRef]) -> Result<()> {
        let digest = &index.descriptor.digest;
        self.note_kept(digest, digest)?;
        self.name_as(digest, digest, names)
    }

    /// Takes the images of an index away that have no name and are in no other index.
    pub(crate) async fn forget_nameless(&self, index: &Index) -> Result<()> {
        let others = self.images().await?;
        for (_, image) in &index.images {
            let id = &image.config.digest;
            let is_listed = |index: &Index| index.lists(id);
            let is_needed = others.iter().any(|other| match &other.index {
                Some(index) => is_listed(index),
                None => other.id() == id && !other.is_nameless(),
            });
            if !is_needed {
                self.delete(IMAGES, id.hex())?;
            }
        }
        Ok(())
    }

    /// Notes that the engine at `endpoint` has one image of an index under each of `names`.
    pub(crate) fn note_published(
        &self,
        endpoint: &str,
        names: &[ImageRef],
        index: &Index,
    ) -> Result<()> {
        for name in names {
            let published = Published {
                endpoint: endpoint.to_owned(),
                name: name.clone(),
                manifest: index.descriptor.digest.clone(),
            };
            self.write(PUBLISHED, &note_of(endpoint, name), &published)?;
        }
        Ok(())
    }

    /// Notes that what the engine at `endpoint` has under these names is no image of an index.
    pub(crate) fn forget_published(&self, endpoint: &str, names: &[ImageRef]) -> Result<()> {
        names.iter().try_for_each(|name| self.delete(PUBLISHED, &note_of(endpoint, name)))
    }

    /// Returns the index that `image` stands for at the engine at `endpoint`, as far as was noted.
    pub(crate) async fn published(
        &self,
        endpoint: &str,
        image: &LocalImage,
    ) -> Result<Option<Index>> {
        let name = match image {
            LocalImage::Reference(name) => name,
            LocalImage::Id(_) | LocalImage::IdPrefix(_) => {
                // An id that nothing or too much has is for the engine to judge.
                let found: Result<_, Error> = self.image(image).await;
                return Ok(found.ok().and_then(|found| found.index));
            }
        };
        let note: Option<Published> = self.read(PUBLISHED, &note_of(endpoint, name));
        match note.filter(|note| note.endpoint == endpoint && note.name == *name) {
            Some(note) => self.index(&note.manifest).await,
            None => Ok(None),
        }
    }

    /// Returns whether an index of which the engine at `endpoint` has one image lists the image with this id.
    pub(crate) async fn is_listed(&self, endpoint: &str, id: &Digest) -> Result<bool> {
        for note in self.entries(PUBLISHED)? {
            let note: Option<Published> = self.read(PUBLISHED, &note);
            if let Some(note) = note.filter(|note| note.endpoint == endpoint)
                && self.index(&note.manifest).await?.is_some_and(|index| index.lists(id))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn note_of(endpoint: &str, name: &ImageRef) -> String {
    digest_of(format!("{endpoint} {name}").as_bytes()).hex().to_owned()
}

/// Returns what an index lists.
pub(crate) fn listed(index: &Index) -> Vec<PlatformImage> {
    let image = |(platform, image): &(_, boxwright_core::Manifest)| PlatformImage {
        platform: Clone::clone(platform),
        id: image.config.digest.clone(),
        digest: image.descriptor.digest.clone(),
    };
    index.images.iter().map(image).collect()
}
