//! Images that stages start from or copy from.

use crate::local::transfer;
use crate::store::Store;
use boxwright_core::{
    Error, ErrorKind, ImageRef, Manifest, Platform, PullPolicy, Result, Session, async_trait,
};

/// Images that an engine has, for stages to start from.
#[async_trait]
pub trait Bases: Send + Sync {
    /// Brings the image `name` into `store`, as far as that lacks it, and returns it; `None` if the engine has none of
    /// that name for `platform`. With [`PullPolicy::Never`] no registry is asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the engine is gone.
    async fn bring(
        &self,
        name: &ImageRef,
        platform: &Platform,
        policy: PullPolicy,
        store: &Store,
        session: &Session,
    ) -> Result<Option<Manifest>>;
}

/// An image that was found.
pub(crate) struct Found {
    pub(crate) manifest: Manifest,
    /// Whether it was pulled, and not there already.
    pub(crate) pulled: bool,
}

/// Returns the image `name`, of the engine, of the store, or of its registry. The engine comes first: there, names move.
pub(crate) async fn resolve(
    store: &Store,
    bases: Option<&dyn Bases>,
    name: &str,
    platform: &Platform,
    policy: PullPolicy,
    session: &Session,
) -> Result<Found> {
    let name: ImageRef = name.parse()?;
    if policy != PullPolicy::Always
        && let Some(bases) = bases
        && let Some(manifest) = bases.bring(&name, platform, policy, store, session).await?
    {
        return Ok(Found { manifest, pulled: false });
    }
    if policy != PullPolicy::Always
        && let Some(manifest) = store.find(&name, Some(platform)).await?
        && store.layout().config(&manifest).await?.platform().as_ref() == Some(platform)
    {
        return Ok(Found { manifest, pulled: false });
    }
    if policy == PullPolicy::Never {
        return Err(Error::new(ErrorKind::NotFound, format!("cannot build from `{name}`"))
            .with_cause(format!("it is not in the store for `{platform}`, and nothing is pulled"))
            .with_remedy("leave out `--pull=never`"));
    }
    let client = transfer::client(session);
    let manifest = tokio::select! {
        pulled = client.pull(&name, Some(platform), store.layout()) => pulled?,
        () = session.cancel.cancelled() => return Err(Session::cancelled()),
    };
    // By digest it is known to be in its registry, and can be mounted from there.
    let by_digest = name.at_digest(manifest.descriptor.digest.clone());
    store.keep(&manifest, &[name, by_digest])?;
    Ok(Found { manifest, pulled: true })
}
