//! Pushes an image from a store.

use std::collections::BTreeMap;

use boxwright_core::{
    BlobStore, Descriptor, Digest, ErrorKind, ImageRef, Index, Manifest, PushOutput,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use tokio::io::AsyncReadExt as _;

use crate::auth::Action;
use crate::client::Client;
use crate::document::MANIFEST_LIMIT;
use crate::download::Place;
use crate::existence;
use crate::failure::{Failure, Outcome};
use crate::progress::Reporter;
use crate::pull::PARALLEL;
use crate::resolve::{digest_of, request};
use crate::upload::Upload;

/// Pushes an image from a store.
pub(crate) async fn push(
    client: &Client,
    image: &ImageRef,
    manifest: &Manifest,
    store: &dyn BlobStore,
) -> Outcome<PushOutput> {
    let place = client.place(image, Action::Push);
    let reporter = Reporter { events: &client.events, status: "pushing" };
    let digest = &manifest.descriptor.digest;
    if image.digest().is_some_and(|named| named != digest) {
        return Err(Failure::new(
            ErrorKind::InvalidInput,
            format!("the image has the digest `{digest}`"),
        )
        .with_remedy("push it to a tag"));
    }
    match existence::digest(&place, image).await {
        Ok(Some(there)) if there == *digest => {
            reporter.say(&manifest.descriptor, "already there", None).await;
            return Ok(PushOutput::new(image.clone(), digest.clone()));
        }
        // A registry that cannot be reached now cannot be reached for a blob either.
        Err(failure) if failure.status.is_none() && failure.kind() == ErrorKind::Unavailable => {
            return Err(failure);
        }
        // All else is found out by pushing, and then in the registry's own words.
        Ok(_) | Err(_) => {}
    }
    let mut blobs: BTreeMap<&Digest, &Descriptor> =
        manifest.layers.iter().map(|(layer, _)| (&layer.digest, layer)).collect();
    blobs.insert(&manifest.config.digest, &manifest.config);
    let work = blobs.into_values().map(|blob| {
        let origin = client.origin(image, &blob.digest);
        let upload = Upload { place: &place, blob, store, origin, reporter: &reporter };
        // Boxed, because the compiler cannot follow borrowed futures through the stream.
        Box::pin(upload.run()) as std::pin::Pin<Box<dyn Future<Output = Outcome<()>> + Send + '_>>
    });
    let work: Vec<_> = work.collect();
    stream::iter(work).buffer_unordered(PARALLEL).try_collect::<()>().await?;
    put_manifest(&place, image, &manifest.descriptor, store).await?;
    for (layer, _) in &manifest.layers {
        client.remember(image, &layer.digest);
    }
    Ok(PushOutput::new(image.clone(), digest.clone()))
}

/// Pushes an index from a store: all of its images, each by its digest, and only then the index itself. So whoever
/// finds the name finds all of it.
pub(crate) async fn push_index(
    client: &Client,
    image: &ImageRef,
    index: &Index,
    store: &dyn BlobStore,
) -> Outcome<PushOutput> {
    let place = client.place(image, Action::Push);
    let digest = &index.descriptor.digest;
    if let Ok(Some(there)) = existence::digest(&place, image).await
        && there == *digest
    {
        let reporter = Reporter { events: &client.events, status: "pushing" };
        reporter.say(&index.descriptor, "already there", None).await;
        return Ok(PushOutput::new(image.clone(), digest.clone()));
    }
    for (_, manifest) in &index.images {
        let by_digest = image.at_digest(manifest.descriptor.digest.clone());
        push(client, &by_digest, manifest, store).await?;
    }
    put_manifest(&place, image, &index.descriptor, store).await?;
    Ok(PushOutput::new(image.clone(), digest.clone()))
}

async fn put_manifest(
    place: &Place,
    image: &ImageRef,
    manifest: &Descriptor,
    store: &dyn BlobStore,
) -> Outcome<()> {
    let mut bytes = Vec::new();
    let mut stored = store.open(&manifest.digest).await?.take(MANIFEST_LIMIT as u64 + 1);
    stored.read_to_end(&mut bytes).await.map_err(|error| {
        Failure::new(ErrorKind::Unavailable, "the manifest cannot be read").with_detail(error)
    })?;
    if bytes.len() > MANIFEST_LIMIT {
        return Err(Failure::new(
            ErrorKind::Exhausted,
            format!("the manifest has more than {MANIFEST_LIMIT} bytes, which no registry takes"),
        ));
    }
    let request = request(place, Method::PUT, image.manifest_name()).await?;
    let request =
        request.with_header(CONTENT_TYPE, &manifest.media_type)?.with_body(Bytes::from(bytes));
    let answer = place.endpoint.call(Some(&place.access), &request).await.map_err(immutable_tag)?;
    match digest_of(answer.headers()) {
        Some(digest) if digest != manifest.digest => Err(Failure::protocol(format!(
            "`{}` stored the manifest as `{digest}` and not as `{}`",
            place.endpoint.name(),
            manifest.digest
        ))),
        _ => Ok(()),
    }
}

/// Recognizes the refusal to move a tag, for which every registry has another status.
fn immutable_tag(failure: Failure) -> Failure {
    let statuses = [StatusCode::BAD_REQUEST, StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED];
    let Some(status) = failure.status.filter(|status| statuses.contains(status)) else {
        return failure;
    };
    let words = failure.why.causes().join(" ").to_ascii_lowercase();
    if !words.contains("immutable") && !words.contains("already exist") {
        return failure;
    }
    Failure::new(ErrorKind::Conflict, "the tag is there already and must not be moved")
        .with_detail(failure.why)
        .with_status(status)
        .with_remedy("push to another tag")
}
