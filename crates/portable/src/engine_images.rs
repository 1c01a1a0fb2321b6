//! The images that an engine keeps in a store of its own, as bases of stages.

use boxwright_core::{
    ArchiveFormat, Digest, Engine, Error, ErrorKind, ExportRequest, ImageRef, LocalImage, Manifest,
    Platform, PullPolicy, Result, Session, async_trait,
};
use boxwright_image::archive;

use crate::base::Bases;
use crate::local::transfer;
use crate::store::Store;

/// The images of an engine that keeps no manifests: what it has is found by its id in Boxwright's store, else fetched
/// by the digests that the engine noted, and only else taken out of the engine, once.
pub(crate) struct EngineImages<'e>(pub(crate) &'e dyn Engine);

#[async_trait]
impl Bases for EngineImages<'_> {
    async fn bring(
        &self,
        name: &ImageRef,
        platform: &Platform,
        policy: PullPolicy,
        store: &Store,
        session: &Session,
    ) -> Result<Option<Manifest>> {
        let details = match self.0.inspect(&name.clone().into(), session).await {
            Ok(details) if details.platform == *platform => details,
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            // None of that name, or one of another platform: it is for others to give.
            _ => return Ok(None),
        };
        let id = &details.summary.id;
        if let Some(manifest) = store.whole_image(id).await? {
            return Ok(Some(manifest));
        }
        if policy != PullPolicy::Never
            && let Some(manifest) = fetch(&details.digests, id, platform, store, session).await
        {
            store.keep(&manifest, &[])?;
            return Ok(Some(manifest));
        }
        let notice = format!(
            "`{name}` is taken out of the engine, which keeps no compressed layers: they are compressed here"
        );
        session.events.notice(notice).await;
        let manifest = self.take_out(name, id, store, session).await?;
        store.keep(&manifest, &[])?;
        Ok(Some(manifest))
    }
}

/// Fetches an image by a digest that the engine knows it by, so that every engine builds on the same layers. What a
/// registry does not give is taken out of the engine.
async fn fetch(
    digests: &[ImageRef],
    id: &Digest,
    platform: &Platform,
    store: &Store,
    session: &Session,
) -> Option<Manifest> {
    let client = transfer::client(session);
    for digest in digests {
        let pull = client.pull(digest, Some(platform), store.layout());
        let pulled = session.cancellable(pull).await.ok();
        if let Some(manifest) = pulled.filter(|manifest| manifest.config.digest == *id) {
            return Some(manifest);
        }
    }
    None
}

impl EngineImages<'_> {
    async fn take_out(
        &self,
        name: &ImageRef,
        id: &Digest,
        store: &Store,
        session: &Session,
    ) -> Result<Manifest> {
        let parent = session.host.temporary_folder();
        let folder = tempfile::Builder::new().prefix("boxwright-").tempdir_in(&parent);
        let folder = folder.map_err(|error| {
            let message = format!("cannot make a folder in `{}`", parent.display());
            Error::new(ErrorKind::Unavailable, message)
                .with_source(error)
                .with_remedy("set `TMPDIR` to a folder that can be written")
        })?;
        let file = folder.path().join("base.tar");
        let mut request = ExportRequest::new(LocalImage::Id(id.clone()), file.clone());
        // As the engine has the layers: not compressed.
        request.format = ArchiveFormat::Docker;
        self.0.export(&request, session).await?;
        let images = session.cancellable(archive::read(&file, store.layout())).await?;
        let mut found = images.into_iter().map(|image| image.manifest);
        found.find(|manifest| manifest.config.digest == *id).ok_or_else(|| {
            Error::new(ErrorKind::Protocol, format!("cannot build from `{name}`"))
                .with_cause("the engine gave another image than it has under that name")
        })
    }
}
