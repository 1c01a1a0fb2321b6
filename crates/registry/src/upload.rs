//! Uploads one blob: mounts it where that is possible, and goes on where an upload broke.

use std::time::Duration;

use boxwright_core::{BlobStore, Descriptor, ErrorKind};
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use crate::download::Place;
use crate::failure::{Failure, Outcome, Retry};
use crate::http::Request;
use crate::progress::{Counter, Reporter};

/// How long an upload may stand still. Registries take their time after the last byte.
const STALL_LIMIT: Duration = Duration::from_secs(300);
/// The parts that are tried, one after the other, when a registry or a proxy takes no larger request.
const PARTS: [u64; 2] = [32 << 20, 4 << 20];
/// How much is read of the store at once.
const BUFFER: usize = 128 << 10;

/// The upload of one blob.
pub(crate) struct Upload<'a> {
    pub(crate) place: &'a Place,
    pub(crate) blob: &'a Descriptor,
    pub(crate) store: &'a dyn BlobStore,
    /// Another repository of the registry that has the blob.
    pub(crate) origin: Option<String>,
    pub(crate) reporter: &'a Reporter<'a>,
}

/// An upload that the registry has opened.
struct Opened {
    location: Url,
    offset: u64,
    /// The largest part to send in one request; `None` is all of it.
    part: Option<u64>,
    counter: Counter,
}

impl Upload<'_> {
    pub(crate) async fn run(self) -> Outcome<()> {
        if self.is_there().await? {
            self.reporter.say(self.blob, "already there", Some(self.blob.size)).await;
            return Ok(());
        }
        let Some(location) = self.begin(self.origin.as_deref()).await? else {
            self.reporter.say(self.blob, "mounted", Some(self.blob.size)).await;
            return Ok(());
        };
        let counter = Counter::default();
        let sending =
            self.send(Opened { location, offset: 0, part: None, counter: counter.clone() });
        self.reporter.during(self.blob, &counter, sending).await?;
        self.reporter.say(self.blob, "pushed", Some(self.blob.size)).await;
        Ok(())
    }

    async fn is_there(&self) -> Outcome<bool> {
        let path = format!("{}/blobs/{}", self.place.access.repository, self.blob.digest);
        let request = Request::new(Method::HEAD, self.place.endpoint.url(&path).await?);
        match self.place.endpoint.call(Some(&self.place.access), &request).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Opens an upload and returns where it goes, or `None` if the blob was mounted.
    async fn begin(&self, origin: Option<&str>) -> Outcome<Option<Url>> {
        let path = format!("{}/blobs/uploads/", self.place.access.repository);
        let mut url = self.place.endpoint.url(&path).await?;
        let mut access = self.place.access.clone();
        if let Some(origin) = origin {
            url.query_pairs_mut()
                .append_pair("mount", self.blob.digest.as_str())
                .append_pair("from", origin);
            access.also_pull.insert(origin.to_owned());
        }
        let answer =
            self.place.endpoint.call(Some(&access), &Request::new(Method::POST, url)).await;
        match answer {
            // SPEC: OCI distribution 1.1, "Mounting a blob": 201 is done; 202 is an upload like any other.
            Ok(answer) if origin.is_some() && answer.status() == StatusCode::CREATED => Ok(None),
            Ok(answer) => self.location(&answer).map(Some),
            // The right to push is not the right to read elsewhere.
            Err(failure) if origin.is_some() && failure.status.is_some() => {
                Box::pin(self.begin(None)).await
            }
            Err(failure) => Err(failure),
        }
    }

    async fn send(&self, mut opened: Opened) -> Outcome<()> {
        let retries = self.place.endpoint.retries();
        // Only what gets further than before counts as progress, so that this ends.
        let (mut attempt, mut furthest) = (1, 0);
        loop {
            let failure = match self.step(&mut opened).await {
                Ok(true) => return Ok(()),
                Ok(false) if opened.offset > furthest => {
                    (attempt, furthest) = (1, opened.offset);
                    continue;
                }
                Ok(false) => self.no_progress(),
                Err(failure) => failure,
            };
            let pause = match failure.status {
                Some(StatusCode::PAYLOAD_TOO_LARGE) => {
                    opened.part = match self.smaller(opened.part) {
                        Some(part) => Some(part),
                        None => return Err(self.too_large(failure, opened.part)),
                    };
                    Duration::ZERO
                }
                // The token was forgotten, and the next request gets another one; or the upload is
                // gone, or further than we thought.
                Some(
                    StatusCode::UNAUTHORIZED
                    | StatusCode::NOT_FOUND
                    | StatusCode::RANGE_NOT_SATISFIABLE,
                ) if attempt < retries.attempts => Duration::ZERO,
                _ => match retries.pause(attempt, failure.retry) {
                    Some(pause) => pause,
                    None => return Err(failure.with_fact("attempts", attempt.to_string())),
                },
            };
            // A connection that breaks again and again may be a limit that nobody answers.
            if failure.status.is_none() && attempt > 1 && opened.part.is_none() {
                opened.part = self.smaller(None);
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
            match self.status(&opened.location).await? {
                Status::Done => return Ok(()),
                Status::At(location, offset) => {
                    (opened.location, opened.offset) = (location, offset);
                }
                // QUIRK(distribution < 3): an upload that broke in mid-request cannot be resumed, since
                // its address holds the offset of before: "upload resumed at wrong offest".
                Status::Gone => {
                    let Some(location) = self.begin(None).await? else { return Ok(()) };
                    (opened.location, opened.offset) = (location, 0);
                }
            }
            if opened.offset > furthest {
                (attempt, furthest) = (1, opened.offset);
            }
        }
    }

    /// Sends the rest, or the next part of it. Returns whether the blob is complete.
    async fn step(&self, opened: &mut Opened) -> Outcome<bool> {
        let rest = self.blob.size - opened.offset;
        if opened.offset == 0 && opened.part.is_none_or(|part| rest <= part) {
            // All in one request, which spares one.
            let request = Request::new(Method::PUT, self.complete(&opened.location));
            self.stream(request, opened, rest).await?;
            return Ok(true);
        }
        if rest > 0 {
            let length = opened.part.map_or(rest, |part| rest.min(part));
            let last = opened.offset + length - 1;
            let request = Request::new(Method::PATCH, opened.location.clone())
                .with_header(CONTENT_RANGE, &format!("{}-{last}", opened.offset))?;
            let answer = self.stream(request, opened, length).await?;
            opened.location = self.location(&answer)?;
            // The registry may have kept less than it was sent.
            opened.offset = end_of_range(answer.headers()).unwrap_or(last + 1).min(self.blob.size);
            return Ok(false);
        }
        let request = Request::new(Method::PUT, self.complete(&opened.location));
        self.place.endpoint.call_once(Some(&self.place.access), &request).await?;
        Ok(true)
    }

    async fn stream(&self, request: Request, opened: &Opened, length: u64) -> Outcome<Response> {
        let request = request.with_header(CONTENT_TYPE, "application/octet-stream")?;
        let mut bytes = self.store.open(&self.blob.digest).await?;
        let unreadable = |error: std::io::Error| {
            let digest = &self.blob.digest;
            Failure::new(ErrorKind::Unavailable, format!("the blob `{digest}` cannot be read"))
                .with_detail(error)
        };
        // The store gives blobs from their beginning, so that it can verify them.
        let mut skipped = (&mut bytes).take(opened.offset);
        tokio::io::copy(&mut skipped, &mut tokio::io::sink()).await.map_err(unreadable)?;
        let counter = opened.counter.clone();
        let counted = counter.count(Box::new(bytes.take(length)));
        let stream = ReaderStream::with_capacity(counted, BUFFER);
        let body = reqwest::Body::wrap_stream(stream);
        let access = &self.place.access;
        let sending = self.place.endpoint.send_stream(access, &request, body, length);
        tokio::select! {
            answer = sending => answer,
            () = stalled(&counter) => {
                let registry = self.place.endpoint.name();
                let seconds = STALL_LIMIT.as_secs();
                let cause = format!("the upload to `{registry}` stood still for {seconds} seconds");
                Err(Failure::new(ErrorKind::Unavailable, cause).with_retry(Retry::Soon))
            }
        }
    }

    /// Asks how much of an upload the registry has.
    async fn status(&self, location: &Url) -> Outcome<Status> {
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
            true => self.location(&answer)?,
            false => location.clone(),
        };
        Ok(Status::At(location, offset))
    }

    /// Returns where the upload goes on: `Location` may be relative, or on another host.
    fn location(&self, answer: &Response) -> Outcome<Url> {
        let text = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        text.and_then(|text| answer.url().join(text).ok()).ok_or_else(|| {
            let registry = self.place.endpoint.name();
            Failure::protocol(format!("`{registry}` does not say where to upload to"))
        })
    }

    fn complete(&self, location: &Url) -> Url {
        let mut url = location.clone();
        url.query_pairs_mut().append_pair("digest", self.blob.digest.as_str());
        url
    }

    fn smaller(&self, part: Option<u64>) -> Option<u64> {
        let limit = part.unwrap_or(self.blob.size);
        PARTS.into_iter().find(|smaller| *smaller < limit)
    }

    fn no_progress(&self) -> Failure {
        let registry = self.place.endpoint.name();
        Failure::protocol(format!("`{registry}` takes parts of an upload and does not keep them"))
            .with_retry(Retry::Soon)
    }

    fn too_large(&self, failure: Failure, part: Option<u64>) -> Failure {
        let sent = part.unwrap_or(self.blob.size).min(self.blob.size);
        failure.with_fact("smallest part tried", format!("{sent} bytes"))
    }
}

/// Where an upload stands.
enum Status {
    At(Url, u64),
    Done,
    Gone,
}

/// Returns how many bytes a registry has of an upload.
// SPEC: OCI distribution 1.1, "Pushing a blob in chunks": `Range: 0-<end-of-range>`, inclusive.
fn end_of_range(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RANGE)?.to_str().ok()?;
    let last: u64 = text.trim_start_matches("bytes=").strip_prefix("0-")?.parse().ok()?;
    // QUIRK(distribution): it says `0-0` of an empty upload.
    Some(if last == 0 { 0 } else { last + 1 })
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
