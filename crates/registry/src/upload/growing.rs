//! Uploads a blob that is being made: its digest and size are known only at its end.

use boxwright_core::{ByteStream, Descriptor};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use tokio_util::io::ReaderStream;

use super::source::BUFFER;
use super::steps;
use crate::download::Place;
use crate::failure::{Failure, Outcome};
use crate::http::Request;
use crate::progress::{Counter, Reporter};

/// What lists the tags of a repository may have at most: the first of them is all that is asked for.
const LIST_LIMIT: usize = 64 << 10;

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

/// Returns whether the registry says that the repository has no image yet. Whatever else it says is no.
pub(crate) async fn is_empty(place: &Place) -> bool {
    let Ok(url) = place.endpoint.url(&format!("{}/tags/list?n=1", place.access.repository)).await
    else {
        return false;
    };
    let request = Request::new(Method::GET, url);
    match place.endpoint.read(&place.access, &request, LIST_LIMIT).await {
        Ok((_, bytes)) => serde_json::from_slice::<Tags>(&bytes)
            .is_ok_and(|list| list.tags.is_none_or(|tags| tags.is_empty())),
        Err(failure) => failure.is(StatusCode::NOT_FOUND) && !failure.is_page,
    }
}

/// Sends `bytes` while they come, and has them kept as the blob that `whole` tells at their end. If it tells nothing, or
/// something else, the upload is cancelled. `plain` is what the blob is made of, for those who watch.
///
/// It is tried once: what did not get there is sent again, or explained, by the push that follows.
pub(crate) async fn send(
    place: &Place,
    plain: &Descriptor,
    bytes: ByteStream,
    whole: impl Future<Output = Option<Descriptor>> + Send,
    reporter: &Reporter<'_>,
) -> Outcome<()> {
    let location = steps::open(place).await?;
    let counter = Counter::default();
    let sending = stream(place, location.clone(), bytes, &counter);
    let sent = reporter.during(plain, &counter, sending).await;
    let kept = match (sent, whole.await) {
        (Ok(next), Some(blob)) if blob.size == counter.bytes() => finish(place, next, &blob).await,
        (Ok(_), _) => Err(Failure::protocol("the blob was not made to its end")),
        (Err(failure), _) => Err(failure),
    };
    if kept.is_ok() {
        reporter.say(plain, "pushed", Some(plain.size)).await;
        return Ok(());
    }
    steps::cancel(place, location).await;
    kept
}

/// Sends all of `bytes` in one request, and returns where the upload ends.
// SPEC: OCI distribution 1.1 has no upload of unknown length; every registry takes the one that Docker and Podman make.
async fn stream(
    place: &Place,
    location: Url,
    bytes: ByteStream,
    counter: &Counter,
) -> Outcome<Url> {
    let request = Request::new(Method::PATCH, location)
        .with_header(CONTENT_TYPE, "application/octet-stream")?;
    let body = ReaderStream::with_capacity(counter.count(bytes), BUFFER);
    let body = reqwest::Body::wrap_stream(body);
    let sending = place.endpoint.send_stream(&place.access, &request, body, None);
    let answer = steps::unless_stalled(place, counter, sending).await?;
    steps::next(place, &answer)
}

async fn finish(place: &Place, location: Url, blob: &Descriptor) -> Outcome<()> {
    let request = Request::new(Method::PUT, steps::complete(&location, &blob.digest));
    place.endpoint.call_once(Some(&place.access), &request).await.map(drop)
}
