//! A registry in this process, on a loopback port: a sound one, or one that fails on order.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use boxwright_core::Digest;
use bytes::Bytes;
use http::Method;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::listening::Listening;

mod access;
mod answer;
mod serve;

pub use access::Access;

/// A registry in this process. It ends when it is dropped.
#[derive(Debug)]
pub struct FakeRegistry {
    state: Arc<State>,
    listening: Listening,
}

/// What a registry does wrong, and when.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which requests it happens to.
    pub moment: Moment,
    /// What happens.
    pub answer: Answer,
}

/// Which requests a [`Fault`] happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Every request, the one for `/v2/` too.
    Anything,
    /// Requests that begin or carry an upload of a blob.
    BlobUpload,
    /// Requests that write a manifest.
    ManifestWrite,
    /// Requests that read a manifest.
    ManifestRead,
}

/// What a registry answers instead of what was asked for.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A status with the error body that registries send.
    Status(u16),
    /// A status, and to come again after as many seconds.
    ComeBack(u16, u32),
    /// A status and its words, as a page of HTML: the answer of a proxy before the registry.
    Proxy(u16, &'static str),
    /// A page of HTML with status 200, as captive portals send.
    Html,
    /// Nothing: the connection ends after as many bytes of the request's body.
    Cut(usize),
}

#[derive(Debug)]
struct State {
    access: Access,
    faults: Vec<Fault>,
    is_public: AtomicBool,
    /// Where there is a file for each repository, if a push creates none.
    repositories: Option<PathBuf>,
    store: Mutex<Store>,
}

#[derive(Debug, Default)]
struct Store {
    blobs: HashMap<Digest, Bytes>,
    /// Which repositories have which blobs.
    links: HashSet<(String, Digest)>,
    /// Blobs that every repository has.
    everywhere: HashSet<Digest>,
    /// By repository and tag or digest: the media type and the bytes.
    manifests: HashMap<(String, String), (String, Bytes)>,
    uploads: HashMap<String, Vec<u8>>,
    counter: u64,
    requests: Vec<(Method, String)>,
}

impl State {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a repository was created: by its name, or as a part of one, as at Google.
    fn has(&self, repository: &str) -> bool {
        let Some(folder) = &self.repositories else { return true };
        folder.join(repository).ancestors().any(std::path::Path::is_file)
    }
}

impl FakeRegistry {
    /// Starts a registry that everyone may use.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn open() -> std::io::Result<Self> {
        Self::start(Access::Open, Vec::new(), None).await
    }

    /// Starts a registry that everyone may use and that does something wrong.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn faulty(moment: Moment, answer: Answer) -> std::io::Result<Self> {
        Self::start(Access::Open, vec![Fault { moment, answer }], None).await
    }

    /// Starts a registry.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start(
        access: Access,
        faults: Vec<Fault>,
        tls: Option<TlsAcceptor>,
    ) -> std::io::Result<Self> {
        let state = State {
            access,
            faults,
            is_public: AtomicBool::new(false),
            repositories: None,
            store: Mutex::default(),
        };
        Self::listen(state, tls).await
    }

    /// Starts a registry where a push creates no repository: it has those that there is a file for in `folder`, such as
    /// `team/api`.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn without_repositories(access: Access, folder: PathBuf) -> std::io::Result<Self> {
        let state = State {
            access,
            faults: Vec::new(),
            is_public: AtomicBool::new(false),
            repositories: Some(folder),
            store: Mutex::default(),
        };
        Self::listen(state, None).await
    }

    async fn listen(state: State, tls: Option<TlsAcceptor>) -> std::io::Result<Self> {
        let state = Arc::new(state);
        let served = state.clone();
        let listening =
            Listening::start(move |stream| accepted(stream, served.clone(), tls.clone())).await?;
        Ok(Self { state, listening })
    }

    /// Lets everyone read from now on.
    pub fn make_public(&self) {
        self.state.is_public.store(true, Ordering::SeqCst);
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// Returns host and port, as they stand in names of images.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.listening.address.port())
    }

    /// Returns the methods and paths of all requests so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<(Method, String)> {
        self.state.store().requests.clone()
    }

    /// Returns the digest of the manifest that a repository has under a tag or digest.
    #[must_use]
    pub fn manifest(&self, repository: &str, name: &str) -> Option<Digest> {
        let store = self.state.store();
        let (_, bytes) = store.manifests.get(&(repository.to_owned(), name.to_owned()))?;
        Some(boxwright_image::manifest::digest_of(bytes))
    }

    /// Returns how many blobs it has.
    #[must_use]
    pub fn blobs(&self) -> usize {
        self.state.store().blobs.len()
    }

    /// Puts a blob in, past all checks, and into every repository.
    pub fn put_blob(&self, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = boxwright_image::manifest::digest_of(&bytes);
        let mut store = self.state.store();
        store.blobs.insert(digest.clone(), bytes);
        store.everywhere.insert(digest.clone());
        drop(store);
        digest
    }

    /// Puts a manifest in, past all checks.
    pub fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) {
        self.state.store().put_manifest(repository, tag, media_type, bytes.to_vec().into());
    }
}

impl Store {
    fn put_manifest(&mut self, repository: &str, name: &str, media_type: &str, bytes: Bytes) {
        let digest = boxwright_image::manifest::digest_of(&bytes).to_string();
        for name in [name, digest.as_str()] {
            let key = (repository.to_owned(), name.to_owned());
            self.manifests.insert(key, (media_type.to_owned(), bytes.clone()));
        }
    }
}

async fn accepted(stream: TcpStream, state: Arc<State>, tls: Option<TlsAcceptor>) {
    match tls {
        None => connection(stream, state).await,
        // A client that does not trust the certificate hangs up, as it should.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                connection(stream, state).await;
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    state: Arc<State>,
) {
    let service = hyper::service::service_fn(move |request| {
        let state = state.clone();
        async move { serve::serve(&state, request).await }
    });
    // How a connection ends is the client's business, or was ordered.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
