//! Images to and from registries.

use boxwright_core::{PullOutput, PullRequest, PushOutput, PushRequest, Result, Session};
use boxwright_image::pack::PackFormat;
use boxwright_registry::Client;

use crate::store::Store;

/// Pushes an image of `store` to the registry in its name.
///
/// # Errors
///
/// As [`Store::push`]; [`ErrorKind::NotFound`](boxwright_core::ErrorKind::NotFound) when there is no such image.
pub async fn push(store: &Store, request: &PushRequest, session: &Session) -> Result<PushOutput> {
    let image = store.image(&request.image.clone().into()).await?;
    let client = client(session);
    let push = async {
        if let Some(index) = &image.index {
            let pushed = store.push_index(&client, &request.image, index).await?;
            let by_digest = request.image.at_digest(pushed.digest.clone());
            store.keep_index(index, &[by_digest])?;
            return Ok(pushed);
        }
        let format = PackFormat::default();
        let pushed = store.push(&client, &request.image, &image.manifest, format).await?;
        let packed = store.packed(&image.manifest, format).await?;
        store.name(&packed, &[request.image.at_digest(pushed.digest.clone())])?;
        Ok(pushed)
    };
    session.cancellable(push).await
}

/// Pulls an image into `store`.
///
/// # Errors
///
/// As [`Client::pull`].
pub async fn pull(store: &Store, request: &PullRequest, session: &Session) -> Result<PullOutput> {
    // What is pulled is not removed before it has a name.
    let _user = store.enter().await?;
    let client = client(session);
    let pull = client.pull(&request.image, request.platform.as_ref(), store.layout());
    let manifest = session.cancellable(pull).await?;
    let digest = manifest.descriptor.digest.clone();
    let by_digest = request.image.at_digest(digest.clone());
    store.keep(&manifest, &[request.image.clone(), by_digest])?;
    Ok(PullOutput::new(manifest.config.digest, Some(digest)))
}

/// Returns a client of registries with the settings and credentials of `session`.
pub(crate) fn client(session: &Session) -> Client {
    let (registries, credentials) = (session.registries.clone(), session.credentials.clone());
    Client::new(&session.host, registries, credentials).with_events(session.events.clone())
}
