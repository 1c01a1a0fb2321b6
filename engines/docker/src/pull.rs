//! Pulls an image: the daemon does it, with the user's credential.

use bollard::models::ImageInspect;
use boxwright_core::{
    Digest, Error, ErrorKind, ImageRef, Platform, PullOutput, PullRequest, Result, Session,
};
use futures_util::StreamExt as _;

use crate::api::Api;
use crate::daemon::Daemon;
use crate::server::ImageStoreKind;
use crate::transfers::Report;
use crate::{images, registries};

/// Pulls `request.image` into the daemon's store.
pub(crate) async fn pull(
    daemon: &Daemon,
    request: &PullRequest,
    session: &Session,
) -> Result<PullOutput> {
    let image = &request.image;
    let host = image.registry();
    registries::honoured_by_pull(&daemon.server, host, session)
        .map_err(|error| error.with_context("image", image.to_string()))?;
    let credential = session.credentials.for_repository(host, image.repository()).await?;
    let name = name_after_pull(image);
    let api = &daemon.api;
    let pull = async {
        // What the name pointed at, for the case that the daemon pulls something that was not asked for.
        let before = match &request.platform {
            Some(_) => api.inspect(&name).await.ok().and_then(|found| found.id),
            None => None,
        };
        let mut answers = api.pull(image, request.platform.as_ref(), credential.as_ref())?.boxed();
        let mut digest: Option<Digest> = None;
        while let Some(info) = answers.next().await {
            let info = info?;
            let detail = info.progress_detail.as_ref();
            let report = Report {
                id: info.id.as_deref(),
                status: info.status.as_deref(),
                current: detail.and_then(|detail| detail.current),
                total: detail.and_then(|detail| detail.total),
            };
            digest = report.digest().or(digest);
            if let Some(event) = report.event() {
                session.events.emit(event).await;
            }
        }
        let found = api.inspect(&name).await?;
        let id = match &request.platform {
            Some(wanted) => {
                let (id, platform) = of_platform(daemon, &found, wanted).await?;
                check_platform(api, image, wanted, &platform, before.as_deref()).await?;
                id
            }
            None => daemon.id_of(images::daemon_id(&found)?).await?,
        };
        Ok(PullOutput::new(id, digest.or_else(|| image.digest().cloned())))
    };
    session.cancellable(pull).await
}

/// Returns what the daemon calls the image afterwards: by digest if one was given, since the tag is not moved then.
fn name_after_pull(image: &ImageRef) -> String {
    match image.digest() {
        Some(digest) => image.at_digest(digest.clone()).to_string(),
        None => image.to_string(),
    }
}

/// Returns id and platform of the image for `wanted`, or of another if there is none for it.
async fn of_platform(
    daemon: &Daemon,
    found: &ImageInspect,
    wanted: &Platform,
) -> Result<(Digest, Platform)> {
    let id = images::daemon_id(found)?;
    let platform = images::platform(found);
    if daemon.server.store == ImageStoreKind::GraphDriver {
        return Ok((id, platform));
    }
    // One name can hold images for several platforms there, and the daemon tells of one.
    let found = daemon.in_archive(&id, wanted).await?;
    Ok((found.config, found.platform.unwrap_or(platform)))
}

/// Takes the pull back when the image is for another platform.
// QUIRK(docker): a registry's plain manifest is pulled whatever platform was asked for
// (https://github.com/moby/moby/issues/42674).
async fn check_platform(
    api: &Api,
    image: &ImageRef,
    wanted: &Platform,
    found: &Platform,
    before: Option<&str>,
) -> Result<()> {
    let same = wanted.os() == found.os()
        && wanted.architecture() == found.architecture()
        && (wanted.variant() == found.variant() || found.variant().is_none());
    if same {
        return Ok(());
    }
    match (before, image.tag()) {
        (Some(before), Some(_)) if image.digest().is_none() => api.tag(before, image).await?,
        (Some(_), _) => {}
        (None, _) => {
            api.remove(&name_after_pull(image), false).await?;
        }
    }
    Err(Error::new(ErrorKind::NotFound, format!("cannot pull `{image}` for {wanted}"))
        .with_cause(format!("the registry has it for {found} alone"))
        .with_remedy("choose another platform with `--platform`"))
}
