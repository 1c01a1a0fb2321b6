//! Compresses layers for their way to others: once, in the background, and the same bytes every time.
//!
//! In a store, layers of built images are plain tars, known by their diff ids. What goes to a registry or
//! into an OCI archive is a *packed* image: the same config, and a manifest of compressed layers.

mod format;
mod gzip;
mod layer;
mod manifest;
mod memory;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use boxwright_core::{Descriptor, Digest, Manifest, Result};
use tokio::io::DuplexStream;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use format::PackFormat;

use crate::layout::Layout;

/// How many layers are compressed at once, and how many threads compress one of them.
const PARALLEL: usize = 2;

/// Compresses layers of a store. Cheap to clone; clones share what is under way.
///
/// What a layer came to is remembered in the store by diff id, compressor and level, so that it is compressed
/// once, even when the compressed blob is collected meanwhile: then the same bytes are made again.
#[derive(Clone, Debug)]
pub struct Packer {
    shared: Arc<Shared>,
    /// Ends what is under way in the background when nobody can ask for it any more.
    _guard: Arc<DropGuard>,
}

type LayerLock = Arc<tokio::sync::Mutex<()>>;

#[derive(Debug)]
struct Shared {
    layout: Layout,
    /// Who holds the lock of a layer compresses it, and the others find it done.
    locks: Mutex<HashMap<(Digest, PackFormat), LayerLock>>,
    permits: Semaphore,
    cancel: CancellationToken,
}

/// Returns all blobs of `layout`, there or not, that layers were compressed to. Blocks.
#[must_use]
pub fn remembered(layout: &Layout) -> BTreeSet<Digest> {
    memory::all(layout)
}

impl Packer {
    /// Returns a packer of the layers in `layout`.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let cancel = CancellationToken::new();
        let _guard = Arc::new(cancel.clone().drop_guard());
        let (locks, permits) = (Mutex::default(), Semaphore::new(PARALLEL));
        Self { shared: Arc::new(Shared { layout, locks, permits, cancel }), _guard }
    }

    /// Begins to compress a layer in the background. What fails is told by the call that needs the layer.
    /// It ends early when all clones of this packer are gone.
    pub fn begin(&self, layer: &(Descriptor, Digest), format: PackFormat) {
        let (shared, layer) = (self.shared.clone(), layer.clone());
        tokio::spawn(async move {
            let work = shared.layer(&layer, format, None);
            tokio::select! {
                // The one who needs it hears of the failure, since it is tried again then.
                _ = work => {}
                () = shared.cancel.cancelled() => {}
            }
        });
    }

    /// Returns the layer as `format` has it, compressed now if it never was. A layer that is compressed
    /// already stays as it is. Dropping the future ends the work.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](boxwright_core::ErrorKind::NotFound) when the store lacks the layer,
    /// [`ErrorKind::Protocol`](boxwright_core::ErrorKind::Protocol) when it is damaged there,
    /// [`ErrorKind::Exhausted`](boxwright_core::ErrorKind::Exhausted) when the disk is full.
    pub async fn layer(
        &self,
        layer: &(Descriptor, Digest),
        format: PackFormat,
    ) -> Result<Descriptor> {
        self.shared.layer(layer, format, None).await
    }

    /// Returns the layers of an image that [`Packer::manifest`] would have to compress, as far as can be told without
    /// reading them.
    #[must_use]
    pub fn unpacked(&self, manifest: &Manifest, format: PackFormat) -> Vec<(Descriptor, Digest)> {
        let unknown = |layer: &&(Descriptor, Digest)| {
            manifest::is_plain(&layer.0)
                && memory::recall(&self.shared.layout, &layer.1, format).is_none()
        };
        manifest.layers.iter().filter(unknown).cloned().collect()
    }

    /// As [`Packer::layer`], and writes what is compressed now to `copy` as well, which then waits for its reader.
    /// What was compressed before, or is by somebody else, is not written.
    ///
    /// # Errors
    ///
    /// As [`Packer::layer`]. A reader that is gone is none.
    pub async fn layer_copied(
        &self,
        layer: &(Descriptor, Digest),
        format: PackFormat,
        copy: DuplexStream,
    ) -> Result<Descriptor> {
        self.shared.layer(layer, format, Some(copy)).await
    }

    /// Returns the packed image of `manifest`: every plain layer is compressed, and all else is as it was.
    /// Its manifest is kept in the store; an image without plain layers is returned as it is.
    ///
    /// # Errors
    ///
    /// As [`Packer::layer`].
    pub async fn manifest(&self, manifest: &Manifest, format: PackFormat) -> Result<Manifest> {
        if !manifest::has_plain(manifest) {
            return Ok(manifest.clone());
        }
        let work = manifest.layers.iter().map(|layer| self.layer(layer, format));
        let packed = futures_util::future::try_join_all(work).await?;
        manifest::keep(&self.shared.layout, manifest, packed, format).await
    }

    /// Returns the descriptor of the packed image's manifest, if that is known without compressing anything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when the store cannot be read.
    pub async fn known(
        &self,
        manifest: &Manifest,
        format: PackFormat,
    ) -> Result<Option<Descriptor>> {
        if !manifest::has_plain(manifest) {
            return Ok(Some(manifest.descriptor.clone()));
        }
        let layout = &self.shared.layout;
        let layers = manifest.layers.iter().map(|layer| match manifest::is_plain(&layer.0) {
            true => memory::recall(layout, &layer.1, format),
            false => Some(layer.0.clone()),
        });
        match layers.collect() {
            Some(layers) => manifest::describe(layout, manifest, layers, format).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Shared {
    async fn layer(
        &self,
        layer: &(Descriptor, Digest),
        format: PackFormat,
        copy: Option<DuplexStream>,
    ) -> Result<Descriptor> {
        let (descriptor, diff_id) = layer;
        if !manifest::is_plain(descriptor) {
            return Ok(descriptor.clone());
        }
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.entry((diff_id.clone(), format)).or_default().clone()
        };
        let _one = lock.lock().await;
        if let Some(known) = memory::recall(&self.layout, diff_id, format)
            && layer::is_there(&self.layout, &known).await?
        {
            return Ok(known);
        }
        let _permit = self.permits.acquire().await;
        let packed = layer::compress(&self.layout, descriptor, format, copy).await?;
        memory::remember(&self.layout, diff_id, format, &packed)?;
        Ok(packed)
    }
}
