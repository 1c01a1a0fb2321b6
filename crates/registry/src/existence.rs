//! Whether an image is there: yes, no, or unknown.

use boxwright_core::{Digest, ImageRef};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};

use crate::download::Place;
use crate::failure::{Failure, Outcome};
use crate::http::read_bytes;
use crate::resolve::{digest_of, request};
use crate::{digester, document};

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
        Err(failure) => {
            let mut why = failure.why.to_string();
            for cause in failure.why.causes() {
                why = format!("{why}: {cause}");
            }
            Existence::Unknown { why, remedy: failure.why.remedy().map(str::to_owned) }
        }
    }
}

/// Returns the digest of an image's manifest or index, or `None` if the registry says there is none.
pub(crate) async fn digest(place: &Place, image: &ImageRef) -> Outcome<Option<Digest>> {
    let name = image.manifest_name();
    let head = request(place, Method::HEAD, name).await?;
    let answer = match place.endpoint.call(Some(&place.access), &head).await {
        Ok(answer) => answer,
        Err(failure) if failure.is(StatusCode::NOT_FOUND) && !failure.is_page => return Ok(None),
        // Whether a page is a registry's own is seen in the answer to GET.
        Err(failure) if failure.is(StatusCode::NOT_FOUND) => return by_reading(place, name).await,
        // Some registries take no HEAD.
        Err(failure) if failure.is(StatusCode::METHOD_NOT_ALLOWED) => {
            return by_reading(place, name).await;
        }
        Err(failure) => return Err(failure),
    };
    match digest_of(answer.headers()) {
        Some(digest) if image.digest().is_none_or(|wanted| *wanted == digest) => Ok(Some(digest)),
        Some(digest) => Err(Failure::protocol(format!(
            "`{}` says that it is `{digest}`",
            place.endpoint.name()
        ))),
        None => by_reading(place, name).await,
    }
}

async fn by_reading(place: &Place, name: &str) -> Outcome<Option<Digest>> {
    let get = request(place, Method::GET, name).await?;
    let answer = match place.endpoint.call(Some(&place.access), &get).await {
        Ok(answer) => answer,
        Err(failure) if failure.is(StatusCode::NOT_FOUND) && !failure.is_page => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let content_type = answer.headers().get(CONTENT_TYPE).cloned();
    let content_type = content_type.as_ref().and_then(|value| value.to_str().ok());
    let bytes = read_bytes(answer, document::MANIFEST_LIMIT).await?;
    let digest = digester::sha256(&bytes);
    let document = document::Document::read(bytes, content_type, digest)?;
    Ok(Some(document.descriptor.digest))
}
