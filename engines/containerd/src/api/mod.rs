//! The connection to containerd: which service is asked, in which namespace, under which lease.

mod content;
mod images;
mod snapshots;
mod tasks;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use boxwright_core::{Digest, Error, ErrorKind, Result};
use containerd_client::services::v1 as services;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use services::containers_client::ContainersClient;
use services::content_client::ContentClient;
use services::diff_client::DiffClient;
use services::images_client::ImagesClient;
use services::leases_client::LeasesClient;
use services::tasks_client::TasksClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::documents::Facts;
use crate::errors::failed;

pub(crate) use tasks::TaskPipes;

/// The largest message that containerd sends: 16 MiB.
const MESSAGE_LIMIT: usize = 16 << 20;

/// A channel whose every call names a namespace and a lease.
pub(crate) type Scoped = InterceptedService<Channel, Scope>;

/// Adds namespace and lease to a call.
#[derive(Clone)]
pub(crate) struct Scope {
    namespace: MetadataValue<Ascii>,
    lease: Option<MetadataValue<Ascii>>,
}

impl Interceptor for Scope {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert("containerd-namespace", self.namespace.clone());
        if let Some(lease) = &self.lease {
            metadata.insert("containerd-lease", lease.clone());
        }
        Ok(request)
    }
}

/// A containerd, one namespace of it, and one of its snapshotters. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    shared: Arc<Shared>,
    scope: Scope,
}

struct Shared {
    channel: Channel,
    socket: PathBuf,
    namespace: String,
    snapshotter: String,
    version: String,
    /// What is known of manifests. They never change.
    facts: Mutex<HashMap<Digest, Facts>>,
}

impl Api {
    /// Returns what asks the containerd behind `channel`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when `namespace` cannot be the name of one.
    pub(crate) fn new(
        channel: Channel,
        socket: &Path,
        namespace: &str,
        snapshotter: &str,
        version: &str,
    ) -> Result<Self> {
        let scope = Scope { namespace: namespace_value(namespace)?, lease: None };
        let shared = Shared {
            channel,
            socket: socket.to_owned(),
            namespace: namespace.to_owned(),
            snapshotter: snapshotter.to_owned(),
            version: version.to_owned(),
            facts: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), scope })
    }

    /// Returns the same with its calls under the lease `id`.
    pub(crate) fn under(&self, id: &str) -> Result<Self> {
        let lease = id.parse().map_err(|_| Error::new(ErrorKind::Bug, "a lease's id is ASCII"))?;
        let scope = Scope { lease: Some(lease), ..self.scope.clone() };
        Ok(Self { shared: self.shared.clone(), scope })
    }

    /// Returns the id of the lease that calls are made under.
    pub(crate) fn lease(&self) -> Option<&str> {
        self.scope.lease.as_ref()?.to_str().ok()
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.shared.socket.display())
    }

    pub(crate) fn snapshotter(&self) -> &str {
        &self.shared.snapshotter
    }

    pub(crate) fn version(&self) -> &str {
        &self.shared.version
    }

    /// Returns what is known of the manifest `digest`.
    pub(crate) fn known(&self, digest: &Digest) -> Option<Facts> {
        self.shared.facts.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Notes what is known of the manifest `digest`.
    pub(crate) fn note(&self, digest: &Digest, facts: Facts) {
        let mut known = self.shared.facts.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(digest.clone(), facts);
    }

    fn scoped(&self) -> Scoped {
        InterceptedService::new(self.shared.channel.clone(), self.scope.clone())
    }

    pub(crate) fn containers(&self) -> ContainersClient<Scoped> {
        ContainersClient::new(self.scoped()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    fn contents(&self) -> ContentClient<Scoped> {
        ContentClient::new(self.scoped()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    fn diffs(&self) -> DiffClient<Scoped> {
        DiffClient::new(self.scoped())
    }

    fn image_records(&self) -> ImagesClient<Scoped> {
        ImagesClient::new(self.scoped()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    fn snapshots(&self) -> SnapshotsClient<Scoped> {
        SnapshotsClient::new(self.scoped()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    fn tasks(&self) -> TasksClient<Scoped> {
        TasksClient::new(self.scoped()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    fn leases(&self) -> LeasesClient<Scoped> {
        LeasesClient::new(self.scoped()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// Makes a lease.
    pub(crate) async fn create_lease(
        &self,
        id: &str,
        labels: HashMap<String, String>,
    ) -> Result<()> {
        let request = services::CreateRequest { id: id.to_owned(), labels };
        let made = self.leases().create(request).await;
        made.map(drop).map_err(failed("cannot take a lease of containerd"))
    }

    /// Ends a lease. With `Collection::Now`, what only it held is gone when this returns.
    pub(crate) async fn delete_lease(&self, id: &str, collection: Collection) -> Result<()> {
        let sync = collection == Collection::Now;
        let deleted =
            self.leases().delete(services::DeleteRequest { id: id.to_owned(), sync }).await;
        match deleted {
            Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
            other => other.map(drop).map_err(failed("cannot end a lease of containerd")),
        }
    }

    /// Returns all leases, by id, with their labels.
    pub(crate) async fn list_leases(&self) -> Result<Vec<services::Lease>> {
        let listed = self.leases().list(services::ListRequest::default()).await;
        let listed = listed.map_err(failed("cannot list the leases of containerd"))?;
        Ok(listed.into_inner().leases)
    }

    /// Makes the lease of this handle hold something that is there already.
    async fn hold(&self, id: &str, kind: &str) -> Result<(), Status> {
        let Some(lease) = self.lease() else { return Ok(()) };
        let resource = services::Resource { id: id.to_owned(), r#type: kind.to_owned() };
        let request =
            services::AddResourceRequest { id: lease.to_owned(), resource: Some(resource) };
        self.leases().add_resource(request).await.map(drop)
    }
}

/// When containerd removes what nothing holds any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collection {
    /// Before the call returns.
    Now,
    /// When it next comes to it.
    Later,
}

/// Returns a namespace as the head of a call has it.
pub(crate) fn namespace_value(namespace: &str) -> Result<MetadataValue<Ascii>> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let valid = !namespace.is_empty() && namespace.len() <= 76 && namespace.bytes().all(plain);
    namespace.parse().ok().filter(|_| valid).ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, format!("`{namespace}` is not a containerd namespace"))
            .with_cause(
                "it has other characters than letters, digits, `-`, `.` and `_`, or more than 76",
            )
            .with_remedy("see `ctr namespaces list` for what there is")
    })
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("socket", &self.shared.socket)
            .field("namespace", &self.shared.namespace)
            .field("snapshotter", &self.shared.snapshotter)
            .field("lease", &self.lease())
            .finish_non_exhaustive()
    }
}
