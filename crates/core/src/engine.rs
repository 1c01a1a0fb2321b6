//! The contract between engine crates and the rest of the workspace.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::capability::{Capabilities, Support};
use crate::error::Result;
use crate::feature::Feature;
use crate::image_ref::{ImageRef, LocalImage};
use crate::request::{
    BuildOutput, BuildRequest, ExportRequest, ImageDetails, ImageSummary, ImportOutput,
    ImportRequest, PruneOutput, PullOutput, PullRequest, PushOutput, PushRequest, RemoveOutput,
    RemoveRequest, RunOutput, RunRequest,
};
use crate::session::Session;
use crate::step::StepRunner;
use crate::store::ImageStore;

/// The name of an engine in settings and on the command line, e.g. `podman`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EngineName(std::borrow::Cow<'static, str>);

impl EngineName {
    /// Returns the name `name`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(name))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for EngineName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which engine a handle is connected to, for people and for bug reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EngineInfo {
    /// Name in settings and on the command line, e.g. `podman`.
    pub name: EngineName,
    /// The version the server reports, not the client's.
    pub version: String,
    /// Where it was reached, e.g. `unix:///run/podman/podman.sock`.
    pub endpoint: String,
    /// The way this handle builds, such as `buildkit`; one of the instance's builders.
    pub builder: String,
    /// Whether the engine runs as an ordinary user. `None` if it does not say.
    pub rootless: Option<bool>,
}

impl EngineInfo {
    /// Returns the facts of an engine that does not say whether it is rootless.
    #[must_use]
    pub fn new(
        name: EngineName,
        version: impl Into<String>,
        endpoint: impl Into<String>,
        builder: impl Into<String>,
    ) -> Self {
        Self {
            name,
            version: version.into(),
            endpoint: endpoint.into(),
            builder: builder.into(),
            rootless: None,
        }
    }
}

/// A container engine that can build, store, and push images.
///
/// This is the whole contract between engine crates and the rest of the
/// workspace. Conveniences derived from it live on [`EngineExt`](crate::EngineExt).
///
/// # Contract
///
/// - No method has a default body. An operation the engine cannot perform is
///   declared in [`Engine::capabilities`] and fails with
///   [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported). It never succeeds quietly.
/// - When `session.cancel` fires, the engine cleans up (container, mount,
///   temporary file), waits for that, and fails with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
///   Dropping the future instead is best effort; what it leaves carries a
///   label and is swept by the next start.
/// - Requests arrive validated, and errors leave without engine and operation.
///   [`Checked`](crate::Checked) does both, once, for every engine.
/// - An image's *id* is the digest of its config, whatever the engine itself calls it.
#[async_trait]
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Returns which engine this handle is connected to.
    fn info(&self) -> &EngineInfo;

    /// Returns what the engine can do, as probed when it was opened.
    fn capabilities(&self) -> &Capabilities;

    /// Returns whether the engine's own builder has `feature`.
    fn native(&self, feature: Feature) -> Support;

    /// Builds an image and keeps it in the engine's image store. Requires
    /// [`Capability::Build`](crate::Capability::Build), and the capabilities of the options used.
    ///
    /// # Behavior
    ///
    /// - Either every tag in `request` points at the new image, or none does.
    /// - Events of one step arrive in order. Steps may interleave.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BuildFailed`](crate::ErrorKind::BuildFailed) when an instruction fails, with the `step` and
    /// its `exit code` as context.
    async fn build(&self, request: &BuildRequest, session: &Session) -> Result<BuildOutput>;

    /// Pushes an image to the registry in its name, and returns the digest the
    /// registry reported. Requires [`Capability::Push`](crate::Capability::Push).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`](crate::ErrorKind::Unauthorized) when credentials are missing or refused.
    async fn push(&self, request: &PushRequest, session: &Session) -> Result<PushOutput>;

    /// Pulls an image into the engine's store. Requires [`Capability::Pull`](crate::Capability::Pull).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the registry has no such image, or none for the platform.
    async fn pull(&self, request: &PullRequest, session: &Session) -> Result<PullOutput>;

    /// Returns what an image in the engine's store is. Requires [`Capability::Inspect`](crate::Capability::Inspect).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the store has no such image.
    async fn inspect(&self, image: &LocalImage, session: &Session) -> Result<ImageDetails>;

    /// Returns the images in the engine's store, newest first, without the intermediate ones of
    /// builds. Requires [`Capability::List`](crate::Capability::List).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the engine is gone.
    async fn list(&self, session: &Session) -> Result<Vec<ImageSummary>>;

    /// Gives an image another name; one that pointed elsewhere moves. Requires [`Capability::Tag`](crate::Capability::Tag).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the store has no such image.
    async fn tag(&self, image: &LocalImage, name: &ImageRef, session: &Session) -> Result<()>;

    /// Removes a name or an image. Requires [`Capability::Remove`](crate::Capability::Remove).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the store has no such image,
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when a container or another name needs it.
    async fn remove(&self, request: &RemoveRequest, session: &Session) -> Result<RemoveOutput>;

    /// Writes an image to an archive. Requires [`Capability::Export`](crate::Capability::Export).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the store has no such image,
    /// [`ErrorKind::Exhausted`](crate::ErrorKind::Exhausted) when the disk is full; the destination is then as it was.
    async fn export(&self, request: &ExportRequest, session: &Session) -> Result<()>;

    /// Reads an image from an archive. Requires [`Capability::Import`](crate::Capability::Import).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when it is no archive of one image, or its bytes do not
    /// match its digests.
    async fn import(&self, request: &ImportRequest, session: &Session) -> Result<ImportOutput>;

    /// Runs a command in an image and waits for its end. Requires [`Capability::Run`](crate::Capability::Run).
    ///
    /// # Behavior
    ///
    /// - The container is gone afterwards, also when the call is cancelled.
    /// - A command that exits with another status than 0 is an outcome, not an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no such image; it is not pulled.
    async fn run(&self, request: &RunRequest, session: &Session) -> Result<RunOutput>;

    /// Removes what this project made in the engine: what it keeps there for the next builds, and what processes left
    /// that were killed. Images that users built are none of it. An engine that holds nothing of the kind returns so.
    ///
    /// # Behavior
    ///
    /// - What a build or a run uses just now stays, and is told.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the engine is gone.
    async fn prune(&self, session: &Session) -> Result<PruneOutput>;

    /// Returns what the portable builder runs the steps of one build with, or `None` if there is nothing. What it
    /// keeps open in the engine ends with it.
    fn step_runner(&self) -> Option<Box<dyn StepRunner + '_>>;

    /// Returns where portable results are published, or `None` if the engine keeps no images.
    fn image_store(&self) -> Option<&dyn ImageStore>;
}
