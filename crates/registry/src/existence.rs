//! Whether an image is there: yes, no, or unknown.

use boxwright_core::{Digest, Error, ImageRef};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};

use crate::digester::{matches, sha256};
use crate::document::{Document, MANIFEST_LIMIT};
use crate::download::Place;
use crate::failure::{Failure, Outcome};
use crate::resolve::{digest_of, request};

/// Whether an image is in its registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existence {
    /// It is there, under this digest of its manifest or index.
    Yes(Digest),
    /// The registry says that it is not there.
    No,
    /// The registry did not say. Never to be taken for yes.
    Unknown {
        /// Why, as a clause.
        why: String,
        /// What the user can do.
        remedy: Option<String>,
    },
}

/// Asks a registry for an image.
pub(crate) async fn exists(place: &Place, image: &ImageRef) -> Existence {
    match digest(place, image).await {
        Ok(Some(digest)) => Existence::Yes(digest),
        Ok(None) => Existence::No,
        Err(failure) => Existence::unknown(&failure.why),
    }
}

impl Existence {
    /// Returns that the registry did not say, because of `error`.
    pub(crate) fn unknown(error: &Error) -> Self {
        let mut why = error.to_string();
        for cause in error.causes() {
            why = format!("{why}: {cause}");
        }
        Self::Unknown { why, remedy: error.remedy().map(str::to_owned) }
    }
}

/// Returns the digest of an image's manifest or index, or `None` if the registry says there is none.
pub(crate) async fn digest(place: &Place, image: &ImageRef) -> Outcome<Option<Digest>> {
    let head = request(place, Method::HEAD, image.manifest_name()).await?;
    let answer = match place.endpoint.call(Some(&place.access), &head).await {
        Ok(answer) => answer,
        Err(failure) if failure.is(StatusCode::NOT_FOUND) && !failure.is_page => return Ok(None),
        // Whether a page is a registry's own is seen in the answer to GET.
        Err(failure) if failure.is(StatusCode::NOT_FOUND) => return by_reading(place, image).await,
        // Some registries take no HEAD.
        Err(failure) if failure.is(StatusCode::METHOD_NOT_ALLOWED) => {
            return by_reading(place, image).await;
        }
        Err(failure) => return Err(failure),
    };
    match digest_of(answer.headers()) {
        Some(digest) if image.digest().is_none_or(|wanted| *wanted == digest) => Ok(Some(digest)),
        Some(digest) => Err(another(place, &digest)),
        None => by_reading(place, image).await,
    }
}

async fn by_reading(place: &Place, image: &ImageRef) -> Outcome<Option<Digest>> {
    let get = request(place, Method::GET, image.manifest_name()).await?;
    let read = place.endpoint.read(&place.access, &get, MANIFEST_LIMIT).await;
    let (headers, bytes) = match read {
        Ok(answer) => answer,
        Err(failure) if failure.is(StatusCode::NOT_FOUND) && !failure.is_page => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let digest = match image.digest() {
        Some(digest) if !matches(&bytes, digest) => return Err(another(place, &sha256(&bytes))),
        Some(digest) => digest.clone(),
        None => sha256(&bytes),
    };
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let document = Document::read(bytes, content_type, digest)?;
    Ok(Some(document.descriptor.digest))
}

fn another(place: &Place, digest: &Digest) -> Failure {
    Failure::protocol(format!("`{}` says that it is `{digest}`", place.endpoint.name()))
}
