//! Pulls an image into a store.

use std::collections::BTreeMap;

use boxwright_core::{BlobStore, Descriptor, Digest, ErrorKind, ImageRef, Manifest, Platform};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::io::AsyncReadExt as _;

use crate::client::Client;
use crate::document::{Config, ImageManifest};
use crate::download::{Place, open};
use crate::failure::{Failure, Outcome};
use crate::progress::{Counter, Reporter};
use crate::resolve::{Found, read_config, resolve};

/// How many blobs cross at once, as in Docker and Podman.
pub(crate) const PARALLEL: usize = 4;

/// Pulls an image into a store.
pub(crate) async fn pull(
    client: &Client,
    image: &ImageRef,
    platform: Option<&Platform>,
    store: &dyn BlobStore,
) -> Outcome<Manifest> {
    let (resolved, Found { place, manifest }) = resolve(client, image, platform).await?;
    let config = pull_config(&place, &manifest.config.descriptor, store).await?;
    if let (Some(wanted), Some(is)) = (platform, config.platform()) {
        // An image without an index is for one platform, whatever was asked for.
        if resolved.index.is_none() && *wanted != is {
            return Err(Failure::new(
                ErrorKind::NotFound,
                format!("it is for `{is}` and not for `{wanted}`"),
            )
            .with_remedy(format!("ask for `--platform {is}`")));
        }
    }
    let layers = layers(&manifest, config.diff_ids())?;
    let distinct: BTreeMap<&Digest, &Descriptor> =
        layers.iter().map(|(layer, _)| (&layer.digest, layer)).collect();
    let reporter = Reporter { events: &client.events, status: "pulling" };
    let work = distinct.into_values().map(|layer| {
        // Boxed, because the compiler cannot follow borrowed futures through the stream.
        let work = pull_layer(&place, layer, store, &reporter);
        Box::pin(work) as std::pin::Pin<Box<dyn Future<Output = Outcome<()>> + Send + '_>>
    });
    let work: Vec<_> = work.collect();
    stream::iter(work).buffer_unordered(PARALLEL).try_collect::<()>().await?;
    // Last, so that whoever finds the manifest finds all of it.
    let bytes = std::io::Cursor::new(resolved.bytes);
    store.write(Box::new(bytes), Some(&resolved.descriptor.digest)).await?;
    if place.endpoint.name() == image.registry() {
        for (layer, _) in &layers {
            client.remember(image, &layer.digest);
        }
    }
    Ok(Manifest { descriptor: resolved.descriptor, config: manifest.config.descriptor, layers })
}

async fn pull_config(place: &Place, blob: &Descriptor, store: &dyn BlobStore) -> Outcome<Config> {
    if store.size(&blob.digest).await? == Some(blob.size) {
        let mut bytes = Vec::new();
        let read = store.open(&blob.digest).await?.read_to_end(&mut bytes).await;
        // One that is broken in the store is fetched again.
        if read.is_ok() {
            return Config::read(&bytes);
        }
    }
    let bytes = read_config(place, blob).await?;
    let config = Config::read(&bytes)?;
    store.write(Box::new(std::io::Cursor::new(bytes)), Some(&blob.digest)).await?;
    Ok(config)
}

/// Pairs the layers with the digests of their uncompressed tars, which the config has.
fn layers(manifest: &ImageManifest, diff_ids: Vec<Digest>) -> Outcome<Vec<(Descriptor, Digest)>> {
    if manifest.layers.len() != diff_ids.len() {
        return Err(Failure::protocol(format!(
            "the manifest has {} layers and the config {}",
            manifest.layers.len(),
            diff_ids.len()
        )));
    }
    // Their addresses are anybody's, and would be asked with this user's rights (CVE-2020-15157).
    let foreign =
        manifest.layers.iter().find(|layer| layer.urls.as_ref().is_some_and(|u| !u.is_empty()));
    if let Some(layer) = foreign {
        return Err(Failure::new(
            ErrorKind::Unsupported,
            format!("the layer `{}` is kept outside of the registry", layer.descriptor.digest),
        )
        .with_remedy("have the image pushed with all of its layers"));
    }
    let descriptors = manifest.layers.iter().map(|layer| layer.descriptor.clone());
    Ok(descriptors.zip(diff_ids).collect())
}

async fn pull_layer(
    place: &Place,
    layer: &Descriptor,
    store: &dyn BlobStore,
    reporter: &Reporter<'_>,
) -> Outcome<()> {
    if store.size(&layer.digest).await? == Some(layer.size) {
        reporter.say(layer, "already there", Some(layer.size)).await;
        return Ok(());
    }
    let mut is_repeated = false;
    loop {
        let (bytes, breakage) = open(place, layer).await?;
        let counter = Counter::default();
        let writing = store.write(counter.count(bytes), Some(&layer.digest));
        let error = match reporter.during(layer, &counter, writing).await {
            Ok(_) => break,
            Err(error) => error,
        };
        if let Some(failure) = breakage.take() {
            return Err(failure);
        }
        // Other bytes than promised, all of them: a proxy's bad copy is mostly gone the second time.
        if error.kind() == ErrorKind::Protocol && !is_repeated {
            is_repeated = true;
            continue;
        }
        return Err(Failure::from(error));
    }
    reporter.say(layer, "pulled", Some(layer.size)).await;
    Ok(())
}
