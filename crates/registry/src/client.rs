//! The client: what can be asked of a registry.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use boxwright_core::{
    BlobStore, ByteStream, Credentials, Descriptor, Digest, ErrorKind, EventSink, Host, ImageRef,
    Index, Manifest, Platform, PushOutput, RegistrySettings, Result,
};

use crate::auth::{Access, Action};
use crate::download::{self, Place, Verified};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::http::Transport;
use crate::progress::Reporter;
use crate::retries::Retries;
use crate::upload::growing;
use crate::{existence, pull, push, resolve};

pub use crate::existence::Existence;
pub use crate::resolve::Resolved;

/// A client for all registries. Cheap to clone; clones share connections, tokens, and what they know.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    pub(crate) events: EventSink,
}

#[derive(Debug)]
struct Shared {
    host: Host,
    settings: Arc<RegistrySettings>,
    credentials: Arc<dyn Credentials>,
    retries: Retries,
    transport: Arc<Transport>,
    endpoints: Mutex<HashMap<String, Endpoint>>,
    /// Repositories that blobs were read from, and may be mounted from.
    origins: Mutex<BTreeMap<Digest, BTreeSet<(String, String)>>>,
}

impl Client {
    /// Returns a client. Connects to nothing yet.
    #[must_use]
    pub fn new(
        host: &Host,
        settings: Arc<RegistrySettings>,
        credentials: Arc<dyn Credentials>,
    ) -> Self {
        Self::with_parts(host.clone(), settings, credentials, Retries::default())
    }

    fn with_parts(
        host: Host,
        settings: Arc<RegistrySettings>,
        credentials: Arc<dyn Credentials>,
        retries: Retries,
    ) -> Self {
        let transport = Arc::new(Transport::new(host.clone(), Arc::clone(&settings), &retries));
        let endpoints = Mutex::default();
        let origins = Mutex::default();
        let shared = Shared { host, settings, credentials, retries, transport, endpoints, origins };
        Self { shared: Arc::new(shared), events: EventSink::discard() }
    }

    /// Returns the client with its progress reported to `events`.
    #[must_use]
    pub fn with_events(mut self, events: EventSink) -> Self {
        self.events = events;
        self
    }

    /// Returns a client that repeats failing requests as `retries` says. It shares nothing with this one.
    #[must_use]
    pub fn with_retries(self, retries: Retries) -> Self {
        let Shared { host, settings, credentials, .. } = &*self.shared;
        let parts = (host.clone(), Arc::clone(settings), Arc::clone(credentials));
        Self { events: self.events, ..Self::with_parts(parts.0, parts.1, parts.2, retries) }
    }

    /// Returns how failing requests are repeated.
    pub(crate) fn retries(&self) -> Retries {
        self.shared.retries
    }

    /// Returns a transport that shares nothing with the registries'.
    pub(crate) fn new_transport(&self) -> Transport {
        let Shared { host, settings, retries, .. } = &*self.shared;
        Transport::new(host.clone(), Arc::clone(settings), retries)
    }

    /// Returns the manifest that `image` stands for: of an index, the one for `platform`, by default
    /// this machine's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no such image, or none for the platform;
    /// [`ErrorKind::Unauthorized`] when credentials are missing or refused.
    pub async fn resolve(&self, image: &ImageRef, platform: Option<&Platform>) -> Result<Resolved> {
        let found = resolve::resolve(self, image, platform).await;
        let (resolved, _) = found.map_err(|f| f.during(format!("cannot resolve `{image}`")))?;
        Ok(resolved)
    }

    /// Opens a blob of the image's repository. Its bytes are verified: the read that meets the end of
    /// other bytes than the digest's fails.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when the repository has no such blob.
    pub async fn blob(&self, image: &ImageRef, blob: &Descriptor) -> Result<ByteStream> {
        let mut last = None;
        for place in self.places(image) {
            match download::open(&place, blob).await {
                Ok((bytes, _)) => return Ok(Box::new(Verified::new(bytes, blob.clone()))),
                Err(failure) => last = Some(failure),
            }
        }
        let failure = last.unwrap_or_else(|| Failure::new(ErrorKind::Bug, "no place was asked"));
        let digest = &blob.digest;
        Err(failure.during(format!("cannot read the blob `{digest}` of `{}`", image.name())))
    }

    /// Pulls an image into `store`: manifest, config, and the layers that are not there yet, four at a
    /// time. Nothing is ever held in memory as a whole but manifest and config.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no such image, or none for the platform;
    /// [`ErrorKind::Unauthorized`] when credentials are missing or refused; [`ErrorKind::Protocol`]
    /// when the registry gives other bytes than it promised, twice.
    pub async fn pull(
        &self,
        image: &ImageRef,
        platform: Option<&Platform>,
        store: &dyn BlobStore,
    ) -> Result<Manifest> {
        let pulled = pull::pull(self, image, platform, store).await;
        pulled.map_err(|failure| failure.during(format!("cannot pull `{image}`")))
    }

    /// Pushes an image from `store` under the name `image`: the blobs that the repository lacks, four
    /// at a time, then the manifest.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`] when credentials are missing or refused; [`ErrorKind::Conflict`] when
    /// the tag must not be moved.
    pub async fn push(
        &self,
        image: &ImageRef,
        manifest: &Manifest,
        store: &dyn BlobStore,
    ) -> Result<PushOutput> {
        let pushed = push::push(self, image, manifest, store).await;
        pushed.map_err(|failure| failure.during(format!("cannot push `{image}`")))
    }

    /// Asks whether the repository of `image` has no image yet. `false` where the registry does not say.
    pub async fn is_empty(&self, image: &ImageRef) -> bool {
        growing::is_empty(&self.place(image, Action::Push)).await
    }

    /// Sends a blob to the repository of `image` while it is made: `bytes` are the blob's, `whole` tells its digest and
    /// size at their end, or nothing when it was not made. Progress is reported by `plain`, which it is made of. It is
    /// not known before whether the repository has the blob, and nothing is tried twice: a [`Client::push`] follows.
    ///
    /// # Errors
    ///
    /// As [`Client::push`]; [`ErrorKind::Protocol`] when `whole` tells of other bytes than came.
    pub async fn send_growing(
        &self,
        image: &ImageRef,
        plain: &Descriptor,
        bytes: ByteStream,
        whole: impl Future<Output = Option<Descriptor>> + Send,
    ) -> Result<()> {
        let place = self.place(image, Action::Push);
        let reporter = Reporter { events: &self.events, status: "pushing" };
        let sent = growing::send(&place, plain, bytes, whole, &reporter).await;
        sent.map_err(|failure| failure.during(format!("cannot push `{image}`")))
    }

    /// Pushes an index from `store` under the name `image`: its images first, each as [`Client::push`] does, by
    /// digest, then the index. The digest of the outcome is the index's.
    ///
    /// # Errors
    ///
    /// As [`Client::push`].
    pub async fn push_index(
        &self,
        image: &ImageRef,
        index: &Index,
        store: &dyn BlobStore,
    ) -> Result<PushOutput> {
        let pushed = push::push_index(self, image, index, store).await;
        pushed.map_err(|failure| failure.during(format!("cannot push `{image}`")))
    }

    /// Asks whether an image is in its registry, which is not the same as a mirror having it.
    pub async fn exists(&self, image: &ImageRef) -> Existence {
        existence::exists(&self.place(image, Action::Pull), image).await
    }

    /// Asks `registry` whether it accepts the credentials.
    pub(crate) async fn ping(&self, registry: &str) -> Result<(), Failure> {
        self.endpoint(registry).ping().await
    }

    /// Notes that the repository of `image` has a blob, so that a push to the same registry can mount
    /// it. [`Client::pull`] does so itself.
    pub fn remember(&self, image: &ImageRef, blob: &Digest) {
        let mut origins = self.shared.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = (image.registry().to_owned(), image.repository().to_owned());
        origins.entry(blob.clone()).or_default().insert(origin);
    }

    /// Returns another repository of the same registry that has a blob.
    pub(crate) fn origin(&self, image: &ImageRef, blob: &Digest) -> Option<String> {
        let origins = self.shared.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = origins.get(blob)?.iter();
        let found = known.find(|(registry, repository)| {
            registry == image.registry() && repository != image.repository()
        });
        found.map(|(_, repository)| repository.clone())
    }

    pub(crate) fn place(&self, image: &ImageRef, action: Action) -> Place {
        let access = Access::new(image.repository(), action);
        Place { endpoint: self.endpoint(image.registry()), access }
    }

    /// Returns where an image may be pulled from: the mirrors of its registry, then that itself.
    pub(crate) fn places(&self, image: &ImageRef) -> Vec<Place> {
        let setting = self.shared.transport.setting(image.registry());
        let mirrors = setting.map(|setting| setting.mirrors.as_slice()).unwrap_or_default();
        let mirrors = mirrors.iter().map(|mirror| {
            let (host, prefix) = mirror.split_once('/').unwrap_or((mirror, ""));
            let prefix = prefix.trim_matches('/');
            let repository = match prefix {
                "" => image.repository().to_owned(),
                prefix => format!("{prefix}/{}", image.repository()),
            };
            let access = Access::new(repository, Action::Pull);
            Place { endpoint: self.endpoint(host), access }
        });
        mirrors.chain([self.place(image, Action::Pull)]).collect()
    }

    fn endpoint(&self, registry: &str) -> Endpoint {
        let mut endpoints = self.shared.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = endpoints.entry(registry.to_owned()).or_insert_with(|| {
            let Shared { transport, credentials, retries, .. } = &*self.shared;
            let (transport, credentials) = (Arc::clone(transport), Arc::clone(credentials));
            Endpoint::new(registry, transport, credentials, *retries)
        });
        endpoint.clone().with_events(self.events.clone())
    }
}
