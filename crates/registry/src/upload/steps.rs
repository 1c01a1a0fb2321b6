//! The single requests of an upload.

use std::time::Duration;

use boxwright_core::{Digest, ErrorKind};
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, LOCATION, RANGE};
use reqwest::{Method, Response, Url};
use tokio::io::AsyncReadExt as _;

use super::source::{Broken, unreadable, whole};
use super::{Opened, Upload};
use crate::download::Place;
use crate::failure::{Failure, Outcome, Retry};
use crate::http::Request;
use crate::progress::Counter;

/// How long an upload may stand still. Registries take their time after the last byte.
const STALL_LIMIT: Duration = Duration::from_secs(300);

/// Where an upload stands.
pub(super) enum Status {
    At(Url, u64),
    Done,
    Gone,
}

impl Upload<'_> {
    /// Sends the rest, or the next part of it. Returns whether the blob is complete.
    pub(super) async fn step(&self, opened: &mut Opened) -> Outcome<bool> {
        let rest = self.blob.size - opened.offset;
        if opened.offset == 0 && opened.part.is_none_or(|part| rest <= part) {
            // All in one request, which spares one.
            let request = Request::new(Method::PUT, complete(&opened.location, &self.blob.digest));
            self.stream(request, opened, rest).await?;
            return Ok(true);
        }
        if rest > 0 {
            let length = opened.part.map_or(rest, |part| rest.min(part));
            let last = opened.offset + length - 1;
            let request = Request::new(Method::PATCH, opened.location.clone())
                .with_header(CONTENT_RANGE, &format!("{}-{last}", opened.offset))?;
            let answer = self.stream(request, opened, length).await?;
            opened.location = next(self.place, &answer)?;
            // The registry may have kept less than it was sent.
            opened.offset = end_of_range(answer.headers()).unwrap_or(last + 1).min(self.blob.size);
            return Ok(false);
        }
        let request = Request::new(Method::PUT, complete(&opened.location, &self.blob.digest));
        self.place.endpoint.call_once(Some(&self.place.access), &request).await?;
        Ok(true)
    }

    async fn stream(&self, request: Request, opened: &Opened, length: u64) -> Outcome<Response> {
        let request = request.with_header(CONTENT_TYPE, "application/octet-stream")?;
        let mut bytes = self.store.open(&self.blob.digest).await?;
        let digest = &self.blob.digest;
        // The store gives blobs from their beginning, so that it can verify them.
        let mut skipped = (&mut bytes).take(opened.offset);
        tokio::io::copy(&mut skipped, &mut tokio::io::sink())
            .await
            .map_err(|error| unreadable(digest, error))?;
        let counter = opened.counter.clone();
        // Of the last part, the end itself is read.
        let is_last = opened.offset + length == self.blob.size;
        let part = if is_last { bytes } else { Box::new(bytes.take(length)) };
        let broken = Broken::default();
        let body = reqwest::Body::wrap_stream(whole(counter.count(part), broken.clone()));
        let access = &self.place.access;
        let sending = self.place.endpoint.send_stream(access, &request, body, Some(length));
        let answer = unless_stalled(self.place, &counter, sending).await;
        answer.map_err(|failure| broken.why(digest).unwrap_or(failure))
    }

    /// Asks how much of an upload the registry has.
    pub(super) async fn status(&self, location: &Url) -> Outcome<Status> {
        if self.is_there().await? {
            return Ok(Status::Done);
        }
        let request = Request::new(Method::GET, location.clone());
        let answer = match self.place.endpoint.call(Some(&self.place.access), &request).await {
            Ok(answer) => answer,
            // Gone, or a registry that does not say: begin again.
            Err(failure) if failure.status.is_some() => return Ok(Status::Gone),
            Err(failure) => return Err(failure),
        };
        let offset = end_of_range(answer.headers()).unwrap_or(0);
        if offset > self.blob.size {
            return Ok(Status::Gone);
        }
        let location = match answer.headers().contains_key(LOCATION) {
            true => next(self.place, &answer)?,
            false => location.clone(),
        };
        Ok(Status::At(location, offset))
    }
}

/// Returns the address that uploads to the repository begin at.
pub(super) async fn begin(place: &Place) -> Outcome<Url> {
    place.endpoint.url(&format!("{}/blobs/uploads/", place.access.repository)).await
}

/// Opens an upload and returns where it goes.
pub(super) async fn open(place: &Place) -> Outcome<Url> {
    let request = Request::new(Method::POST, begin(place).await?);
    let answer = place.endpoint.call(Some(&place.access), &request).await?;
    next(place, &answer)
}

/// Gives an upload up, as far as the registry lets one.
pub(super) async fn cancel(place: &Place, location: Url) {
    // SPEC: OCI distribution 1.1 does not ask registries for it; an upload that stays open expires there.
    let request = Request::new(Method::DELETE, location);
    let _ = place.endpoint.call_once(Some(&place.access), &request).await;
}

/// Returns where an upload is completed as the blob `digest`.
pub(super) fn complete(location: &Url, digest: &Digest) -> Url {
    let mut url = location.clone();
    url.query_pairs_mut().append_pair("digest", digest.as_str());
    url
}

/// Returns where an upload goes on: `Location` may be relative, or on another host.
pub(super) fn next(place: &Place, answer: &Response) -> Outcome<Url> {
    let text = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let next = text.and_then(|text| answer.url().join(text).ok()).ok_or_else(|| {
        let registry = place.endpoint.name();
        Failure::protocol(format!("`{registry}` does not say where to upload to"))
    })?;
    place.endpoint.check_next(answer.url(), &next)?;
    Ok(next)
}

/// Returns how many bytes a registry has of an upload.
// SPEC: OCI distribution 1.1, "Pushing a blob in chunks": `Range: 0-<end-of-range>`, inclusive.
fn end_of_range(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RANGE)?.to_str().ok()?;
    let last: u64 = text.trim_start_matches("bytes=").strip_prefix("0-")?.parse().ok()?;
    // QUIRK(distribution): it says `0-0` of an empty upload.
    Some(if last == 0 { 0 } else { last + 1 })
}

/// Waits for `sending`, which counts what it sends, but not for one that stands still.
pub(super) async fn unless_stalled(
    place: &Place,
    counter: &Counter,
    sending: impl Future<Output = Outcome<Response>>,
) -> Outcome<Response> {
    tokio::select! {
        answer = sending => answer,
        () = stalled(counter) => {
            let registry = place.endpoint.name();
            let seconds = STALL_LIMIT.as_secs();
            let cause = format!("the upload to `{registry}` stood still for {seconds} seconds");
            Err(Failure::new(ErrorKind::Unavailable, cause).with_retry(Retry::Soon))
        }
    }
}

/// Returns when nothing has been counted for too long.
async fn stalled(counter: &Counter) {
    let mut before = counter.bytes();
    loop {
        tokio::time::sleep(STALL_LIMIT).await;
        let now = counter.bytes();
        if now == before {
            return;
        }
        before = now;
    }
}
