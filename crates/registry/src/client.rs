//! The client: what can be asked of a registry.

use std::sync::Arc;
use std::time::Duration;

use boxwright_core::{
    BlobStore, ByteStream, Credentials, Descriptor, Digest, Error, ErrorKind, EventSink, Host,
    ImageRef, Manifest, Platform, PushOutput, RegistrySettings, Result,
};

/// Whether an image is in its registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existence {
    /// It is there, under this manifest digest.
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

/// How often and how patiently a failing request is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retries {
    /// How often a request is sent at most. Default: 4.
    pub attempts: u32,
    /// The pause after the first failure; each further one is twice as long. Default: 250 ms.
    pub first_pause: Duration,
    /// The longest pause, also when the registry asks for more: then the request fails. Default: 60 s.
    pub longest_pause: Duration,
}

/// A client for all registries. Cheap to clone; clones share connections and tokens.
#[derive(Clone, Debug)]
pub struct Client {
    host: Host,
    settings: Arc<RegistrySettings>,
    credentials: Arc<dyn Credentials>,
    events: EventSink,
}

impl Client {
    /// Returns a client. Connects to nothing yet.
    #[must_use]
    pub fn new(
        host: &Host,
        settings: Arc<RegistrySettings>,
        credentials: Arc<dyn Credentials>,
    ) -> Self {
        Self { host: host.clone(), settings, credentials, events: EventSink::discard() }
    }

    /// Returns the client with its progress reported to `events`.
    #[must_use]
    pub fn with_events(mut self, events: EventSink) -> Self {
        self.events = events;
        self
    }

    /// Returns the manifest that `image` stands for: of an index, the one for `platform` (default: this machine's).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no such image, or none for the platform.
    pub async fn resolve(
        &self,
        image: &ImageRef,
        _platform: Option<&Platform>,
    ) -> Result<Resolved> {
        Err(self.cannot("resolve", image))
    }

    /// Opens a blob of the image's repository. Its bytes are verified: the read that meets the end of
    /// another blob fails.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when the repository has no such blob.
    pub async fn blob(&self, image: &ImageRef, _blob: &Descriptor) -> Result<ByteStream> {
        Err(self.cannot("read", image))
    }

    /// Pulls an image into `store`: manifest, config, and the layers that are not there yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no such image, or none for the platform.
    pub async fn pull(
        &self,
        image: &ImageRef,
        _platform: Option<&Platform>,
        _store: &dyn BlobStore,
    ) -> Result<Manifest> {
        Err(self.cannot("pull", image))
    }

    /// Pushes an image from `store` under the name `image`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`] when credentials are missing or refused.
    pub async fn push(
        &self,
        image: &ImageRef,
        _manifest: &Manifest,
        _store: &dyn BlobStore,
    ) -> Result<PushOutput> {
        Err(self.cannot("push", image))
    }

    /// Asks whether an image is in its registry.
    pub async fn exists(&self, _image: &ImageRef) -> Existence {
        Existence::Unknown { why: "the registry was not asked".into(), remedy: None }
    }

    fn cannot(&self, verb: &str, image: &ImageRef) -> Error {
        let _ = (&self.host, &self.settings, &self.credentials);
        Error::new(ErrorKind::Unavailable, format!("cannot {verb} `{image}`"))
    }
}
