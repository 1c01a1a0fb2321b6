//! What is alive during a call, beside the plain request.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::io::AsyncRead;
use tokio_util::sync::CancellationToken;

use crate::ca_bundle::CaBundle;
use crate::error::{Error, ErrorKind, Result};
use crate::event::EventSink;
use crate::host::Host;
use crate::registry_settings::RegistrySettings;
use crate::secret::Secret;

/// A stream of bytes that can be handed from task to task.
pub type ByteStream = Box<dyn AsyncRead + Send + Unpin>;

/// How to authenticate with a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A user's name and password, or a token used as one.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// An OAuth2 refresh token, which `docker login` stores as `identitytoken`.
    IdentityToken(Secret),
    /// A token that is sent as it is.
    BearerToken(Secret),
}

/// Knows the user's credentials for registries.
#[async_trait]
pub trait Credentials: fmt::Debug + Send + Sync {
    /// Returns the credential for the registry `host` (with its port, if not the default one), or
    /// `None` for anonymous access.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when a credentials file or helper is broken, by name.
    async fn for_registry(&self, host: &str) -> Result<Option<Credential>>;

    /// Returns the credential for one repository of the registry `host`. Default: the registry's own.
    ///
    /// # Errors
    ///
    /// As [`Credentials::for_registry`].
    async fn for_repository(&self, host: &str, repository: &str) -> Result<Option<Credential>> {
        let _ = repository;
        self.for_registry(host).await
    }
}

/// Knows no credentials: every access is anonymous.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anonymous;

#[async_trait]
impl Credentials for Anonymous {
    async fn for_registry(&self, _host: &str) -> Result<Option<Credential>> {
        Ok(None)
    }
}

/// Everything that lives during a call: made by the caller, borrowed by the engine.
#[derive(Clone)]
#[non_exhaustive]
pub struct Session {
    /// The user's credentials for registries.
    pub credentials: Arc<dyn Credentials>,
    /// How single registries are to be reached.
    pub registries: Arc<RegistrySettings>,
    /// Values of build secrets, by id.
    pub secrets: Arc<BTreeMap<String, Secret>>,
    /// Sockets of ssh agents, by id; `default` is the usual one.
    pub ssh_agents: Arc<BTreeMap<String, PathBuf>>,
    /// What build steps trust beside the certificates of their image.
    pub ca_bundle: Option<CaBundle>,
    /// Fires when the caller wants the call to end.
    pub cancel: CancellationToken,
    /// Where the engine reports what happens.
    pub events: EventSink,
    /// The machine: environment, files, programs.
    pub host: Host,
    input: Arc<Mutex<Option<ByteStream>>>,
}

impl Session {
    /// Returns a session with no credentials, no secrets, no input, and nobody listening.
    #[must_use]
    pub fn new(host: Host) -> Self {
        Self {
            credentials: Arc::new(Anonymous),
            registries: Arc::default(),
            secrets: Arc::default(),
            ssh_agents: Arc::default(),
            ca_bundle: None,
            cancel: CancellationToken::new(),
            events: EventSink::discard(),
            host,
            input: Arc::default(),
        }
    }

    /// Returns the session with a tar stream for [`ContextSource::Tar`](crate::ContextSource::Tar).
    #[must_use]
    pub fn with_input(mut self, input: ByteStream) -> Self {
        self.input = Arc::new(Mutex::new(Some(input)));
        self
    }

    /// Returns the session with another event sink.
    #[must_use]
    pub fn with_events(mut self, events: EventSink) -> Self {
        self.events = events;
        self
    }

    /// Takes the tar stream. It can be taken once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when there is none, or it was taken.
    pub fn take_input(&self) -> Result<ByteStream> {
        let mut input = self.input.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        input.take().ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "there is no tar stream to take the context from")
                .with_remedy("pipe one in, as in `tar -c . | boxwright build -`")
        })
    }

    /// Runs `work` until it ends or the token fires, then fails with [`ErrorKind::Cancelled`].
    /// For waits that hold nothing; whatever needs cleaning up watches the token itself.
    ///
    /// # Errors
    ///
    /// What `work` fails with, or [`ErrorKind::Cancelled`].
    pub async fn cancellable<T>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Self::cancelled()),
            result = work => result,
        }
    }

    /// Returns the error for a call that was cancelled.
    #[must_use]
    pub fn cancelled() -> Error {
        Error::new(ErrorKind::Cancelled, "interrupted")
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("credentials", &self.credentials)
            .field("registries", &self.registries)
            .field("secrets", &self.secrets.keys())
            .field("ssh_agents", &self.ssh_agents)
            .field("ca_bundle", &self.ca_bundle)
            .field("cancelled", &self.cancel.is_cancelled())
            .finish_non_exhaustive()
    }
}
