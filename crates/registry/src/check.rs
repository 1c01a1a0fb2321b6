//! Whether an image can be pulled, and whether a push would be allowed, without moving an image.

use boxwright_core::{Descriptor, ErrorKind, ImageRef, Platform, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, StatusCode};

use crate::advice;
use crate::auth::Action;
use crate::client::Client;
use crate::document::Config;
use crate::download::Place;
use crate::existence::Existence;
use crate::failure::{Failure, Outcome};
use crate::http::Request;
use crate::pull::PARALLEL;
use crate::resolve::{self, Found, Resolved, read_config};
use crate::upload::probe;

/// An image whose every part was readable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pullable {
    /// The name, at the digest of the manifest for the platform.
    pub image: ImageRef,
    /// What its config says it is for. `None` if it does not say.
    pub platform: Option<Platform>,
    /// How many layers it has.
    pub layers: usize,
    /// How much a node pulls at most: manifest, config and layers, compressed, in bytes.
    pub size: u64,
}

impl Client {
    /// Reads an image as a node of a cluster would: the manifest for `platform` (by default this machine's), the
    /// config, and the first byte of every layer, each at the registry itself and not at a mirror. At most three
    /// requests and one for each blob, beside those for tokens.
    ///
    /// # Errors
    ///
    /// Those of [`Client::resolve`], with what to do at this registry; [`ErrorKind::NotFound`] too when the image
    /// is for another platform or a blob is missing.
    pub async fn check(&self, image: &ImageRef, platform: Option<&Platform>) -> Result<Pullable> {
        let checked = check(self, image, platform).await;
        checked.map_err(|failure| {
            let status = failure.status;
            advice::for_pull(failure.during(format!("`{image}` cannot be pulled")), image, status)
        })
    }

    /// Asks whether the user may push to the repository of `image`: begins an upload and cancels it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`] when credentials are missing or refused, with what to do at this registry.
    pub async fn check_push(&self, image: &ImageRef) -> Result<()> {
        let place = self.place(image, Action::Push);
        let probed = probe(&place).await;
        probed.map_err(|failure| {
            let status = failure.status;
            let error = failure.during(format!("`{}` cannot be pushed to", image.name()));
            advice::for_push(error, image, status)
        })
    }

    /// Asks whether an image is in its registry for `platform`. An image of one platform does not stand for another.
    pub async fn exists_for(&self, image: &ImageRef, platform: &Platform) -> Existence {
        let place = self.place(image, Action::Pull);
        let found = async {
            let (resolved, found) = resolve_at_origin(self, image, Some(platform)).await?;
            if resolved.index.is_none() {
                let bytes = read_config(&place, &found.manifest.config.descriptor).await?;
                fits(&Config::read(&bytes)?, Some(platform))?;
            }
            Ok::<_, Failure>(resolved.descriptor.digest)
        };
        match found.await {
            Ok(digest) => Existence::Yes(digest),
            Err(failure) if failure.kind() == ErrorKind::NotFound && !failure.is_page => {
                Existence::No
            }
            Err(failure) => Existence::unknown(&failure.why),
        }
    }
}

async fn check(
    client: &Client,
    image: &ImageRef,
    platform: Option<&Platform>,
) -> Outcome<Pullable> {
    let (resolved, Found { place, manifest }) = resolve_at_origin(client, image, platform).await?;
    let config_part = &manifest.config.descriptor;
    let config = Config::read(&read_config(&place, config_part).await?)?;
    fits(&config, platform)?;
    let blobs: Vec<&Descriptor> = manifest.layers.iter().map(|layer| &layer.descriptor).collect();
    let reads = blobs.iter().map(|blob| {
        // Boxed, because the compiler cannot follow borrowed futures through the stream.
        let read = is_readable(&place, blob);
        Box::pin(read) as std::pin::Pin<Box<dyn Future<Output = Outcome<()>> + Send + '_>>
    });
    let reads: Vec<_> = reads.collect();
    stream::iter(reads).buffer_unordered(PARALLEL).try_collect::<()>().await?;
    let layers: u64 = blobs.iter().map(|blob| blob.size).sum();
    Ok(Pullable {
        image: resolved.image,
        platform: config.platform(),
        layers: blobs.len(),
        size: resolved.descriptor.size + config_part.size + layers,
    })
}

/// Resolves at the registry itself: a cluster has mirrors of its own, or none.
async fn resolve_at_origin(
    client: &Client,
    image: &ImageRef,
    platform: Option<&Platform>,
) -> Outcome<(Resolved, Found)> {
    resolve::at(client.place(image, Action::Pull), image, platform).await
}

/// Refuses an image without an index that is for another platform.
fn fits(config: &Config, platform: Option<&Platform>) -> Outcome<()> {
    let machine = Platform::of_this_machine();
    let wanted = platform.unwrap_or(&machine);
    match config.platform() {
        Some(is) if is != *wanted => Err(Failure::new(
            ErrorKind::NotFound,
            format!("it is for `{is}` and not for `{wanted}`"),
        )
        .with_remedy(format!("build it with `--platform {wanted}`, or check `--platform {is}`"))),
        _ => Ok(()),
    }
}

/// Reads one byte of a blob, and what the registry says of its size.
async fn is_readable(place: &Place, blob: &Descriptor) -> Outcome<()> {
    let path = format!("{}/blobs/{}", place.access.repository, blob.digest);
    let request = Request::new(Method::GET, place.endpoint.url(&path).await?);
    // SPEC: RFC 9110, 14.2: a server that knows no ranges ignores the header, and what it sends is left unread.
    let request = request.with_header(RANGE, "bytes=0-0")?;
    let answer = match place.endpoint.call(Some(&place.access), &request).await {
        Ok(answer) => answer,
        // The first byte of nothing.
        Err(failure) if blob.size == 0 && failure.is(StatusCode::RANGE_NOT_SATISFIABLE) => {
            return Ok(());
        }
        Err(failure) => return Err(failure.with_fact("blob", blob.digest.to_string())),
    };
    let size = match answer.status() {
        StatusCode::PARTIAL_CONTENT => {
            let range = answer.headers().get(CONTENT_RANGE).and_then(|it| it.to_str().ok());
            range.and_then(|range| range.rsplit_once('/')?.1.parse().ok())
        }
        _ => answer.content_length(),
    };
    match size {
        Some(size) if size != blob.size => Err(Failure::protocol(format!(
            "the blob `{}` has {size} bytes and its manifest says {}",
            blob.digest, blob.size
        ))),
        _ => Ok(()),
    }
}
