//! One daemon: the connection, what it said of itself, and how it calls images.

use boxwright_core::{Digest, Error, ErrorKind, LocalImage, Platform, Result};

use crate::api::Api;
use crate::ids::{self, Found, Known};
use crate::images;
use crate::server::{ImageStoreKind, Server};

/// One daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) api: Api,
    pub(crate) server: Server,
    known: Known,
}

impl Daemon {
    /// Returns the daemon behind `api` that said `server` of itself.
    pub(crate) fn new(api: Api, server: Server) -> Self {
        Self { api, server, known: Known::default() }
    }

    /// Returns the id of the image that the daemon calls `id`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] when `id` is no digest, or its config cannot be found.
    pub(crate) async fn id_of(&self, id: Digest) -> Result<Digest> {
        if self.server.store == ImageStoreKind::GraphDriver {
            return Ok(id);
        }
        if let Some(known) = self.known.get(id.as_str()) {
            return Ok(known);
        }
        let found = self.in_archive(&id, &self.server.platform).await?;
        self.known.keep(id.as_str(), found.config.clone());
        Ok(found.config)
    }

    /// Looks into the image that containerd's store calls `id`, of several the one for `platform`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] when its config cannot be found.
    pub(crate) async fn in_archive(&self, id: &Digest, platform: &Platform) -> Result<Found> {
        ids::in_archive(self.api.save(id.as_str()).await?, id, platform).await
    }

    /// Keeps that the daemon calls the image with the config `config` `id`.
    pub(crate) fn learn(&self, id: &Digest, config: &Digest) {
        self.known.keep(id.as_str(), config.clone());
    }

    /// Returns what the daemon finds `image` by.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no image of that id.
    pub(crate) async fn name_of(&self, image: &LocalImage) -> Result<String> {
        let prefix = match image {
            LocalImage::Reference(reference) => return Ok(reference.to_string()),
            LocalImage::Id(id) => id.to_string(),
            LocalImage::IdPrefix(prefix) => format!("sha256:{prefix}"),
        };
        if self.server.store == ImageStoreKind::GraphDriver {
            return Ok(prefix);
        }
        if let Some(name) = self.known.find(&prefix) {
            return Ok(name);
        }
        for found in self.api.list().await? {
            let id = images::digest(&found.id)?;
            if self.id_of(id).await?.as_str().starts_with(&prefix) {
                return Ok(found.id);
            }
        }
        Err(Error::new(ErrorKind::NotFound, format!("cannot find the image `{image}`"))
            .with_remedy("`boxwright images` lists what there is"))
    }
}
