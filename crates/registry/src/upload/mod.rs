//! Uploads one blob: mounts it where that is possible, and goes on where an upload broke.

pub(crate) mod growing;
mod source;
mod steps;

use std::time::Duration;

use boxwright_core::{BlobStore, Descriptor};
use reqwest::{Method, StatusCode, Url};

use crate::download::Place;
use crate::failure::{Failure, Outcome, Retry};
use crate::http::Request;
use crate::progress::{Counter, Reporter};
use steps::Status;

/// The parts that are tried, one after the other, when a registry or a proxy takes no larger request.
const PARTS: [u64; 2] = [32 << 20, 4 << 20];

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

/// Begins an upload and cancels it: who may do that may push.
pub(crate) async fn probe(place: &Place) -> Outcome<()> {
    let location = steps::open(place).await?;
    steps::cancel(place, location).await;
    Ok(())
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
            // Storage that a registry redirects to may not know HEAD. What the user may not do is told
            // by the upload itself, and in words, which an answer to HEAD has none of.
            Err(failure) if failure.status.is_some() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Opens an upload and returns where it goes, or `None` if the blob was mounted.
    async fn begin(&self, origin: Option<&str>) -> Outcome<Option<Url>> {
        let mut url = steps::begin(self.place).await?;
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
            Ok(answer) => steps::next(self.place, &answer).map(Some),
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
