//! Pushes an image: the daemon does it, with the user's credential.

use boxwright_core::{Digest, Error, ErrorKind, PushOutput, PushRequest, Result, Session};
use boxwright_http::Body;
use boxwright_http::http::Method;

use crate::api::{Message, request_with};
use crate::daemon::Daemon;
use crate::transfers::Report;
use crate::{auth, errors, registries};

/// Pushes `request.image` to the place in its name.
pub(crate) async fn push(
    daemon: &Daemon,
    request: &PushRequest,
    session: &Session,
) -> Result<PushOutput> {
    let image = &request.image;
    let what = || format!("cannot push `{image}`");
    if image.tag().is_none() {
        return Err(Error::new(ErrorKind::InvalidInput, what())
            .with_cause("a registry gives the digest; a push needs a tag")
            .with_remedy("name the image by a tag"));
    }
    let host = image.registry();
    registries::honoured_by_push(&daemon.server, host, session)
        .map_err(|error| error.with_context("image", image.to_string()))?;
    let found = session.credentials.for_repository(host, image.repository()).await?;
    let credentials = found.map(|known| auth::credentials(host, &known)).transpose()?;
    let path = format!("/images/{}/push?tag={}", image.name(), image.tag().unwrap_or("latest"));
    let mut call = request_with(Method::POST, &path, Body::empty())?;
    // The daemon refuses a push without the header, also an anonymous one.
    call.headers_mut().insert(auth::REGISTRY_AUTH, auth::header(&credentials.unwrap_or_default())?);
    let refused = |status, words: &str| match status {
        404 => errors::refused(what(), status, words),
        _ => errors::registry_failed(what(), image, words),
    };
    let push = async {
        let mut messages = daemon.api.call(call, refused).await?;
        let mut digest: Option<Digest> = None;
        while let Some(message) = messages.next().await? {
            if let Some(words) = message.failure() {
                return Err(errors::registry_failed(what(), image, words));
            }
            let report = report(&message);
            let told = message.aux.as_ref().and_then(|aux| aux.digest.as_deref()?.parse().ok());
            digest = told.or_else(|| report.digest()).or(digest);
            if let Some(event) = report.event() {
                session.events.emit(event).await;
            }
        }
        digest.ok_or_else(|| {
            Error::new(ErrorKind::Protocol, what())
                .with_cause("the daemon ended the push and named no digest")
        })
    };
    // Dropping the call closes the connection, and the daemon stops.
    let digest = session.cancellable(push).await?;
    Ok(PushOutput::new(image.clone(), digest))
}

/// Returns what `message` reports.
pub(crate) fn report(message: &Message) -> Report<'_> {
    let detail = message.progress_detail.as_ref();
    Report {
        id: message.id.as_deref(),
        status: message.status.as_deref(),
        current: detail.and_then(|detail| detail.current),
        total: detail.and_then(|detail| detail.total),
    }
}
