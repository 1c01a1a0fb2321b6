//! Images from and to registries, straight from and to containerd's content store.

use boxwright_core::{
    LocalImage, PullOutput, PullRequest, PushOutput, PushRequest, Result, Session,
};
use boxwright_image::pack::PackFormat;
use boxwright_portable::Store;
use boxwright_registry::Client;

use crate::api::Api;
use crate::blobs::Blobs;
use crate::lease::Lease;
use crate::{documents, records, store};

fn client(session: &Session) -> Client {
    let (settings, credentials) = (session.registries.clone(), session.credentials.clone());
    Client::new(&session.host, settings, credentials).with_events(session.events.clone())
}

pub(crate) async fn pull(api: &Api, wanted: &PullRequest, session: &Session) -> Result<PullOutput> {
    let lease = Lease::take(api, "pull").await?;
    let work = async {
        let (client, blobs) = (client(session), Blobs::new(lease.api()));
        let name = &wanted.image;
        let manifest = client.pull(name, wanted.platform.as_ref(), &blobs).await?;
        store::complete(lease.api(), &manifest, std::slice::from_ref(name)).await?;
        let digest = name.digest().cloned().unwrap_or(manifest.descriptor.digest);
        Ok(PullOutput::new(manifest.config.digest, Some(digest)))
    };
    let result = session.cancellable(work).await;
    lease.finish(result).await
}

pub(crate) async fn push(
    api: &Api,
    built: &Store,
    wanted: &PushRequest,
    session: &Session,
) -> Result<PushOutput> {
    let lease = Lease::take(api, "push").await?;
    let work = async {
        let (client, api) = (client(session), lease.api());
        let image = LocalImage::from(wanted.image.clone());
        let what = format!("cannot push `{image}`");
        let target = records::target(api, &image, &what).await?;
        let found = documents::image(api, &target).await?;
        // What was built here is pushed from where it was built, so that its digest is the same from every engine.
        if let Some(manifest) = built.built(&found.manifest.config.digest).await? {
            return built.push(&client, &wanted.image, &manifest, PackFormat::default()).await;
        }
        client.push(&wanted.image, &found.manifest, &Blobs::new(api)).await
    };
    let result = session.cancellable(work).await;
    lease.finish(result).await
}
