//! What the portable builder needs of an engine to run `RUN`.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::digest::Digest;
use crate::error::Result;
use crate::event::StepId;
use crate::request::{ExtraHost, NetworkMode};
use crate::session::Session;
use crate::store::BlobStore;

/// Runs single steps of a portable build, each on a root file system made of layers.
#[async_trait]
pub trait StepRunner: Send + Sync {
    /// Runs `step` on the file system that `step.rootfs` stacks up, and returns its exit status and the
    /// canonical layer of what it changed, with diff id and size. A step that fails changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the runner is gone. A command that exits with
    /// another status than 0 is an outcome, not an error.
    async fn run(
        &self,
        step: &Step,
        blobs: &dyn BlobStore,
        session: &Session,
    ) -> Result<StepOutcome>;
}

#[async_trait]
impl<T: StepRunner + ?Sized> StepRunner for &T {
    async fn run(
        &self,
        step: &Step,
        blobs: &dyn BlobStore,
        session: &Session,
    ) -> Result<StepOutcome> {
        (**self).run(step, blobs, session).await
    }
}

/// One layer, by the digest of its uncompressed tar and the blob it can be read from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LayerRef {
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The blob that holds it, compressed or not.
    pub blob: Digest,
}

/// A chain of layers, lowest first, that stack up to a root file system.
pub type LayerChain = Vec<LayerRef>;

/// One process on a root file system made of layers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The step's number in its build, for its log events.
    pub id: StepId,
    /// What it runs on.
    pub rootfs: LayerChain,
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub environment: BTreeMap<String, String>,
    /// Variables that hold secrets of the session: the name of each, and the secret's id. They are set beside
    /// `environment`, and their values are nowhere but in the process.
    pub secret_environment: BTreeMap<String, String>,
    /// The user, as `USER` has it; empty means root. Names are looked up in the root file system.
    pub user: String,
    /// The working directory, made if it is missing.
    pub working_directory: String,
    /// What is mounted while it runs. Mount points do not stay in the layer.
    pub mounts: Vec<StepMount>,
    /// The network.
    pub network: NetworkMode,
    /// Lines added to `/etc/hosts` while it runs.
    pub extra_hosts: Vec<ExtraHost>,
    /// The size of `/dev/shm` in bytes. Default: 64 MiB.
    pub shm_size: Option<u64>,
    /// Seconds since 1970 that times in the layer are clamped to.
    pub source_date_epoch: Option<i64>,
}

impl Step {
    /// Returns a step that runs `arguments` as root in `/`, with nothing below it, set or mounted.
    #[must_use]
    pub fn new(id: StepId, arguments: Vec<String>) -> Self {
        Self {
            id,
            rootfs: LayerChain::new(),
            arguments,
            environment: BTreeMap::new(),
            secret_environment: BTreeMap::new(),
            user: String::new(),
            working_directory: "/".to_owned(),
            mounts: Vec::new(),
            network: NetworkMode::default(),
            extra_hosts: Vec::new(),
            shm_size: None,
            source_date_epoch: None,
        }
    }
}

/// Something mounted while a step runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepMount {
    /// The absolute path in the step's root file system.
    pub target: String,
    /// What is there.
    pub source: MountSource,
}

/// What a [`StepMount`] shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A path in another chain of layers: a folder, or one file. Writes to it are thrown away. An empty chain is
    /// an empty folder.
    Chain {
        /// The layers.
        rootfs: LayerChain,
        /// The path in them, resolved inside their own root.
        path: String,
        /// Whether the step may write.
        access: MountAccess,
    },
    /// A folder that is kept between builds.
    Cache {
        /// Its id.
        id: String,
        /// Its permission bits when it is made. Default in Dockerfiles: 0755.
        mode: u32,
        /// Its owner and group when it is made.
        owner: (u32, u32),
        /// Who may use it at the same time.
        sharing: CacheSharing,
        /// Whether the step may write.
        access: MountAccess,
        /// What it holds when it is made.
        seed: Option<(LayerChain, String)>,
    },
    /// A folder in memory.
    Tmpfs {
        /// Its size in bytes. Default: half of the memory.
        size: Option<u64>,
    },
    /// A file with the value of a secret of the session.
    Secret {
        /// The secret's id.
        id: String,
        /// Its permission bits. Default in Dockerfiles: 0400.
        mode: u32,
        /// Its owner and group.
        owner: (u32, u32),
    },
    /// The socket of an ssh agent of the session.
    Ssh {
        /// The agent's id.
        id: String,
        /// The socket's permission bits. Default in Dockerfiles: 0600.
        mode: u32,
        /// Its owner and group.
        owner: (u32, u32),
    },
}

/// Whether a mount may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountAccess {
    /// It may only be read.
    ReadOnly,
    /// It may be written.
    ReadWrite,
}

/// Who may use a cache mount at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheSharing {
    /// Everyone.
    Shared,
    /// Everyone their own.
    Private,
    /// One after the other.
    Locked,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepOutcome {
    /// The exit status of the process; 128 and the signal's number when a signal ended it.
    pub exit_code: i32,
    /// The layer of what it changed. `None` when it failed, or changed nothing.
    pub layer: Option<StepLayer>,
}

impl StepOutcome {
    /// Returns the outcome of a process that exited with `exit_code` and left `layer`.
    #[must_use]
    pub fn new(exit_code: i32, layer: Option<StepLayer>) -> Self {
        Self { exit_code, layer }
    }
}

/// The canonical layer that a step left in the blob store, uncompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLayer {
    /// The digest of the tar.
    pub diff_id: Digest,
    /// Its size in bytes.
    pub size: u64,
}
