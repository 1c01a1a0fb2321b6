//! From a name to the manifest of one image.

use boxwright_core::{Descriptor, Digest, ErrorKind, ImageRef, Platform};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::io::AsyncReadExt as _;

use crate::client::Client;
use crate::digester::{matches, sha256};
use crate::document::{ACCEPTED, Document, ImageManifest, Kind, MANIFEST_LIMIT, choose};
use crate::download::{Place, Verified, open};
use crate::failure::{Failure, Outcome};
use crate::http::Request;

/// The header by which a registry says which manifest it means.
pub(crate) const DIGEST_HEADER: &str = "docker-content-digest";
/// The largest config that is read.
const CONFIG_LIMIT: u64 = 8 << 20;

/// The manifest that a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolved {
    /// The name, at the manifest's digest.
    pub image: ImageRef,
    /// The manifest's media type, digest, and size.
    pub descriptor: Descriptor,
    /// The manifest's bytes, which have that digest.
    pub bytes: Vec<u8>,
    /// The index that the manifest was chosen from, if the name stands for one.
    pub index: Option<Descriptor>,
}

/// An image, and where it was found.
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) manifest: ImageManifest,
}

/// Finds the manifest of an image for a platform.
pub(crate) async fn resolve(
    client: &Client,
    image: &ImageRef,
    platform: Option<&Platform>,
) -> Outcome<(Resolved, Found)> {
    let mut places = client.places(image);
    let origin = places.pop();
    for mirror in places {
        match at(mirror.clone(), image, platform).await {
            Ok(found) => return Ok(found),
            Err(failure) => {
                let (mirror, why) = (mirror.endpoint.name(), failure.why);
                client.events.notice(format!("the mirror `{mirror}` did not serve: {why}")).await;
            }
        }
    }
    let origin = origin.ok_or_else(|| Failure::new(ErrorKind::Bug, "no place was asked"))?;
    at(origin, image, platform).await
}

/// Finds it at one place.
pub(crate) async fn at(
    place: Place,
    image: &ImageRef,
    platform: Option<&Platform>,
) -> Outcome<(Resolved, Found)> {
    let document = fetch(&place, image.manifest_name(), image.digest()).await?;
    let (index, document) = match document.kind {
        Kind::Image(_) => (None, document),
        Kind::Index(entries) => {
            let machine = Platform::of_this_machine();
            let wanted = platform.unwrap_or(&machine);
            let entry = choose(&entries, wanted).ok_or_else(|| {
                let mut known: Vec<String> =
                    entries.iter().filter_map(|e| Some(e.platform()?.to_string())).collect();
                known.sort();
                known.dedup();
                Failure::new(ErrorKind::NotFound, format!("it has no image for `{wanted}`"))
                    .with_remedy(format!("name one of its platforms: {}", known.join(", ")))
            })?;
            let digest = &entry.descriptor.digest;
            (Some(document.descriptor), fetch(&place, digest.as_str(), Some(digest)).await?)
        }
    };
    let Document { descriptor, bytes, kind } = document;
    let Kind::Image(manifest) = kind else {
        return Err(Failure::protocol("the index has another index for the platform"));
    };
    let image = image.at_digest(descriptor.digest.clone());
    let resolved = Resolved { image, descriptor, bytes: bytes.to_vec(), index };
    Ok((resolved, Found { place, manifest }))
}

/// Returns a request for the manifest `name`.
pub(crate) async fn request(place: &Place, method: Method, name: &str) -> Outcome<Request> {
    let path = format!("{}/manifests/{name}", place.access.repository);
    let mut request = Request::new(method, place.endpoint.url(&path).await?);
    for kind in ACCEPTED {
        request.headers.append(ACCEPT, HeaderValue::from_static(kind));
    }
    Ok(request)
}

/// Reads the manifest or index `name`, and checks that it has the digest that was asked for.
async fn fetch(place: &Place, name: &str, digest: Option<&Digest>) -> Outcome<Document> {
    let request = request(place, Method::GET, name).await?;
    let read = place.endpoint.read(&place.access, &request, MANIFEST_LIMIT).await;
    let (headers, bytes) = read.map_err(|failure| {
        let is_missing = failure.kind() == ErrorKind::NotFound && failure.why.remedy().is_none();
        if !is_missing {
            return failure;
        }
        failure.with_remedy("check the spelling of repository and tag; a registry may also hide what a user must not see")
    })?;
    let said = digest_of(&headers);
    let expected = digest.or(said.as_ref());
    let digest = match expected {
        Some(digest) if !matches(&bytes, digest) => {
            return Err(Failure::protocol(format!(
                "`{}` gave another manifest than `{digest}`",
                place.endpoint.name()
            )));
        }
        Some(digest) => digest.clone(),
        None => sha256(&bytes),
    };
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Document::read(bytes, content_type, digest)
}

/// Returns the digest that a registry says a manifest has.
pub(crate) fn digest_of(headers: &HeaderMap) -> Option<Digest> {
    headers.get(DIGEST_HEADER)?.to_str().ok()?.parse().ok()
}

/// Reads a small blob, and checks it.
pub(crate) async fn read_config(place: &Place, blob: &Descriptor) -> Outcome<Vec<u8>> {
    if blob.size > CONFIG_LIMIT {
        return Err(Failure::protocol(format!(
            "the config has {} bytes, and {CONFIG_LIMIT} is the limit",
            blob.size
        )));
    }
    let (stream, breakage) = open(place, blob).await?;
    let mut bytes = Vec::new();
    let read = Verified::new(stream, blob.clone()).read_to_end(&mut bytes).await;
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(breakage.take().unwrap_or_else(|| Failure::protocol(error.to_string()))),
    }
}
