//! The service as the place where images that were built portably are published.

use boxwright_core::{
    BlobStore, Digest, Error, ErrorKind, ImageRef, ImageStore, LocalImage, Manifest, Result,
    Session,
};
use boxwright_http::Body;
use boxwright_http::http::{HeaderValue, Method, header};
use boxwright_image::archive::{self, ArchiveKind, ArchiveOptions};
use boxwright_image::manifest::media_type;

use crate::api::{Api, request};
use crate::query::Address;
use crate::wire::Loaded;
use crate::{images, tags};

const WHAT: &str = "cannot publish the image";
/// How often an image is loaded that others remove at the same time.
const TRIES: u32 = 3;

#[async_trait::async_trait]
impl ImageStore for Api {
    async fn missing(&self, manifest: &Manifest, _session: &Session) -> Result<Vec<Digest>> {
        // It takes no archive without all layers, and none at all for an image that it has.
        if images::find(self, &id_of(manifest)).await?.is_some() {
            return Ok(Vec::new());
        }
        Ok(manifest.layers.iter().map(|(layer, _)| layer.digest.clone()).collect())
    }

    async fn publish(
        &self,
        manifest: &Manifest,
        blobs: &dyn BlobStore,
        names: &[ImageRef],
        session: &Session,
    ) -> Result<()> {
        let work = async {
            let mut tries = 0;
            loop {
                if images::find(self, &id_of(manifest)).await?.is_none() {
                    load(self, manifest, blobs).await?;
                }
                tries += 1;
                match tags::apply(self, &manifest.config.digest, names).await {
                    // Somebody removed the same image meanwhile.
                    Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => {}
                    done => return done,
                }
            }
        };
        session.cancellable(work).await
    }
}

fn id_of(manifest: &Manifest) -> LocalImage {
    LocalImage::from(manifest.config.digest.clone())
}

async fn load(api: &Api, manifest: &Manifest, blobs: &dyn BlobStore) -> Result<()> {
    // In OCI's format Podman does not show `HEALTHCHECK` and `SHELL`, though they are there.
    let is_dockers = manifest.descriptor.media_type == media_type::DOCKER_MANIFEST;
    let kind = if is_dockers { ArchiveKind::Docker } else { ArchiveKind::Combined };
    // Names are given afterwards, all or none.
    let options = ArchiveOptions::new(kind, Vec::new());
    let (reader, mut writer) = tokio::io::duplex(1 << 20);
    let write = async {
        let written = archive::write_to(blobs, manifest, &options, &mut writer).await;
        // The service sees the end, also where it comes too early.
        drop(writer);
        written
    };
    let mut request =
        request(Method::POST, &Address::libpod(&["images/load"]), Body::reader(reader))?;
    let kind = HeaderValue::from_static("application/x-tar");
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    let load = api.ask::<Loaded>(request, WHAT);
    let loaded = match tokio::join!(write, load) {
        // Nobody read any more, for a reason that the service tells.
        (Err(error), Err(told)) if error.kind() == ErrorKind::Cancelled => return Err(told),
        (Err(error), _) => return Err(error),
        (Ok(()), loaded) => loaded?,
    };
    let id = &manifest.config.digest;
    // Podman 4.3 may fail to look at it while another image is removed; what it says of the load counts.
    let is_told = loaded.names.iter().any(|name| name.ends_with(id.hex()));
    if !is_told && images::find(api, &id_of(manifest)).await?.is_none() {
        let cause = format!("the service made {} of it, not {id}", loaded.names.join(", "));
        return Err(Error::new(ErrorKind::Protocol, WHAT).with_cause(cause));
    }
    Ok(())
}
