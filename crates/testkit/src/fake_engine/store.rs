//! Where the fake engine keeps images: blobs in an OCI layout, everything else in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use boxwright_core::{
    Descriptor, Digest, Error, ErrorKind, ImageRef, LocalImage, Manifest, Result,
};
use boxwright_image::config::ImageConfig;
use boxwright_image::layout::Layout;
use boxwright_image::manifest::{ImageManifest, media_type};

use super::root::Root;

/// An image in the store.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) manifest: Manifest,
    pub(super) config: ImageConfig,
    pub(super) root: Arc<Root>,
}

impl Stored {
    pub(super) fn id(&self) -> &Digest {
        &self.manifest.config.digest
    }
}

/// The result of one step of an earlier build.
#[derive(Clone, Debug)]
pub(super) struct CachedStep {
    pub(super) root: Arc<Root>,
    pub(super) layer: Option<(Descriptor, Digest)>,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) layout: Layout,
    inner: Mutex<Inner>,
    // The layout is in it.
    _folder: tempfile::TempDir,
}

#[derive(Debug, Default)]
struct Inner {
    /// In the order they were made.
    images: Vec<Stored>,
    names: BTreeMap<ImageRef, Digest>,
    cache: HashMap<String, CachedStep>,
    /// What cache mounts hold, by their id.
    mounts: HashMap<String, Root>,
}

impl Store {
    pub(super) fn open() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("boxwright-fake-").tempdir();
        let folder = folder.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "cannot make a folder for the fake engine")
                .with_source(error)
        })?;
        let layout = Layout::open(folder.path().join("layout"))?;
        Ok(Self { layout, inner: Mutex::default(), _folder: folder })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes config and manifest, and keeps the image.
    pub(super) async fn add(
        &self,
        config: ImageConfig,
        layers: &[(Descriptor, Digest)],
        root: Arc<Root>,
    ) -> Result<Stored> {
        let bug = |error| Error::new(ErrorKind::Bug, "an image is no JSON").with_source(error);
        let bytes = serde_json::to_vec(&config).map_err(bug)?;
        let config_descriptor = self.layout.put(&bytes, media_type::OCI_CONFIG).await?;
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            config: config_descriptor,
            layers: layers.iter().map(|(layer, _)| layer.clone()).collect(),
            annotations: BTreeMap::new(),
        };
        let bytes = serde_json::to_vec(&manifest).map_err(bug)?;
        let descriptor = self.layout.put(&bytes, media_type::OCI_MANIFEST).await?;
        let manifest = self.layout.manifest(&descriptor.digest).await?;
        Ok(self.keep(Stored { manifest, config, root }))
    }

    /// Keeps an image whose blobs are in the layout.
    pub(super) async fn adopt(&self, manifest: Manifest) -> Result<Stored> {
        let config = self.layout.config(&manifest).await?;
        let root = Arc::new(Root::of_image(&self.layout, &manifest).await?);
        Ok(self.keep(Stored { manifest, config, root }))
    }

    fn keep(&self, stored: Stored) -> Stored {
        let mut inner = self.inner();
        inner.images.retain(|image| image.id() != stored.id());
        inner.images.push(stored.clone());
        stored
    }

    pub(super) fn name(&self, name: &ImageRef, id: &Digest) {
        self.inner().names.insert(name.clone(), id.clone());
    }

    pub(super) fn find(&self, image: &LocalImage) -> Result<Stored> {
        let inner = self.inner();
        let by_id = |wanted: &dyn Fn(&Digest) -> bool| {
            inner.images.iter().find(|image| wanted(image.id())).cloned()
        };
        let found = match image {
            LocalImage::Id(id) => by_id(&|other| other == id),
            LocalImage::IdPrefix(prefix) => by_id(&|other| other.hex().starts_with(prefix)),
            LocalImage::Reference(name) => {
                inner.names.get(name).and_then(|id| by_id(&|other| other == id))
            }
        };
        found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no image `{image}`"))
                .with_cause("the engine's store has none of that name")
                .with_remedy(format!("pull it with `boxwright pull {image}`"))
        })
    }

    pub(super) fn names_of(&self, id: &Digest) -> Vec<ImageRef> {
        let inner = self.inner();
        inner.names.iter().filter(|(_, of)| *of == id).map(|(name, _)| name.clone()).collect()
    }

    /// Returns all images, newest first.
    pub(super) fn images(&self) -> Vec<Stored> {
        self.inner().images.iter().rev().cloned().collect()
    }

    pub(super) fn remove_name(&self, name: &ImageRef) {
        self.inner().names.remove(name);
    }

    pub(super) fn remove_image(&self, id: &Digest) {
        let mut inner = self.inner();
        inner.names.retain(|_, of| of != id);
        inner.images.retain(|image| image.id() != id);
    }

    pub(super) fn cached(&self, key: &str) -> Option<CachedStep> {
        self.inner().cache.get(key).cloned()
    }

    pub(super) fn cache(&self, key: String, step: CachedStep) {
        self.inner().cache.insert(key, step);
    }

    pub(super) fn mount(&self, id: &str) -> Root {
        self.inner().mounts.get(id).cloned().unwrap_or_default()
    }

    pub(super) fn keep_mount(&self, id: &str, content: Root) {
        self.inner().mounts.insert(id.to_owned(), content);
    }
}
