//! The daemon as the place where images that were built portably are published.

use std::collections::BTreeSet;

use boxwright_core::{
    BlobStore, Digest, Error, ErrorKind, ImageRef, ImageStore, LocalImage, Manifest, Result,
    Session, async_trait,
};
use boxwright_image::archive::{self, ArchiveKind, ArchiveOptions};
use futures_util::stream::{self, StreamExt as _};

use crate::daemon::Daemon;
use crate::server::ImageStoreKind;

/// How many layers overlay2 stacks: one mount takes a page of options.
const DEEPEST: usize = 125;
/// How often an image is loaded that others remove at the same time.
const TRIES: u32 = 3;
/// How many of the newest images are looked at for layers that the daemon has.
const LOOKED_AT: usize = 200;
/// How many of them at once.
const AT_ONCE: usize = 8;

#[async_trait]
impl ImageStore for Daemon {
    async fn missing(&self, manifest: &Manifest, _session: &Session) -> Result<Vec<Digest>> {
        let there = self.layers_there(manifest).await?;
        let missing = manifest.layers.iter().skip(there);
        Ok(missing.map(|(layer, _)| layer.digest.clone()).collect())
    }

    async fn publish(
        &self,
        manifest: &Manifest,
        blobs: &dyn BlobStore,
        names: &[ImageRef],
        session: &Session,
    ) -> Result<()> {
        if self.server.store == ImageStoreKind::GraphDriver && manifest.layers.len() > DEEPEST {
            let count = manifest.layers.len();
            let message = format!("cannot keep an image of {count} layers");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_cause(format!("the daemon stacks at most {DEEPEST} of them"))
                .with_remedy("join instructions, or start from a base with fewer layers"));
        }
        let work = async {
            let mut tries = 0;
            loop {
                tries += 1;
                match self.load(manifest, blobs, names).await {
                    // Somebody removed the same image meanwhile.
                    Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => {}
                    done => return done,
                }
            }
        };
        session.cancellable(work).await
    }
}

impl Daemon {
    async fn load(
        &self,
        manifest: &Manifest,
        blobs: &dyn BlobStore,
        names: &[ImageRef],
    ) -> Result<()> {
        let there = self.layers_there(manifest).await?;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut options = ArchiveOptions::new(ArchiveKind::Combined, names);
        options.without = without(manifest, there);
        if let Err(error) = self.send(manifest, blobs, &options).await {
            if options.without.is_empty() || error.kind() == ErrorKind::Exhausted {
                return Err(error);
            }
            // A layer went away meanwhile: then all of them cross.
            options.without.clear();
            self.send(manifest, blobs, &options).await?;
        }
        let id = &manifest.config.digest;
        self.learn(&manifest.descriptor.digest, id);
        // The daemon answers with success to some archives that it took nothing from.
        let name = self.name_of(&LocalImage::Id(id.clone())).await?;
        self.api.inspect(&name).await.map(drop)
    }

    async fn send(
        &self,
        manifest: &Manifest,
        blobs: &dyn BlobStore,
        options: &ArchiveOptions,
    ) -> Result<()> {
        let (reader, mut writer) = tokio::io::duplex(1 << 20);
        let write = async {
            let written = archive::write_to(blobs, manifest, options, &mut writer).await;
            // The daemon sees the end, also where it comes too early.
            drop(writer);
            written
        };
        match tokio::join!(write, self.api.load(Box::new(reader))) {
            // Nobody read any more, for a reason that the daemon tells.
            (Err(error), Err(told)) if error.kind() == ErrorKind::Cancelled => Err(told),
            (Err(error), _) => Err(error),
            (Ok(()), loaded) => loaded,
        }
    }

    /// Returns how many of the lowest layers the daemon has below an image of its own. It knows them by what they are
    /// stacked on, so one counts only with all those below it.
    async fn layers_there(&self, manifest: &Manifest) -> Result<usize> {
        // containerd's store wants all blobs that it lacks, and has none of ours.
        if self.server.store != ImageStoreKind::GraphDriver || manifest.layers.is_empty() {
            return Ok(0);
        }
        let ids: Vec<String> =
            self.api.list().await?.into_iter().take(LOOKED_AT).map(|image| image.id).collect();
        let looks = ids.iter().map(|id| async move {
            // One that is removed meanwhile has no layers to rely on.
            let found = self.api.inspect(id).await.ok()?;
            Some(in_common(manifest, &found.root_fs?.layers?))
        });
        let looks: Vec<_> = looks.collect();
        let counts = stream::iter(looks).buffer_unordered(AT_ONCE);
        Ok(counts.fold(0, |most, count| async move { most.max(count.unwrap_or(0)) }).await)
    }
}

/// Returns how many of the lowest layers are the same.
fn in_common(manifest: &Manifest, layers: &[String]) -> usize {
    let own = manifest.layers.iter().map(|(_, diff_id)| diff_id.as_str());
    own.zip(layers).take_while(|(own, other)| own == other).count()
}

/// Returns the blobs of the lowest `there` layers that no layer above them is of, too.
fn without(manifest: &Manifest, there: usize) -> BTreeSet<Digest> {
    let (below, above) = manifest.layers.split_at(there.min(manifest.layers.len()));
    let below = below.iter().map(|(layer, _)| &layer.digest);
    below
        .filter(|digest| above.iter().all(|(other, _)| other.digest != **digest))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::Descriptor;

    fn digest(number: u8) -> Digest {
        Digest::from_sha256([number; 32])
    }

    fn manifest(layers: &[u8]) -> Manifest {
        let blob = |digest| Descriptor { media_type: String::new(), digest, size: 1 };
        let layer = |&number| (blob(digest(number)), digest(number + 100));
        Manifest {
            descriptor: blob(digest(0)),
            config: blob(digest(1)),
            layers: layers.iter().map(layer).collect(),
        }
    }

    #[test]
    fn only_layers_with_all_below_them_are_left_out() {
        let image = manifest(&[2, 3, 4]);
        let theirs = |numbers: &[u8]| -> Vec<String> {
            numbers.iter().map(|&number| digest(number).to_string()).collect()
        };
        assert_eq!(in_common(&image, &theirs(&[102, 103, 110])), 2);
        assert_eq!(in_common(&image, &theirs(&[103, 104])), 0);
        assert_eq!(without(&image, 2), BTreeSet::from([digest(2), digest(3)]));
        // The same blob above what is there has to cross.
        assert_eq!(without(&manifest(&[2, 3, 2]), 2), BTreeSet::from([digest(3)]));
    }
}
