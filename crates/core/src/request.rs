//! What is asked of an engine, and what it answers: plain values, loggable and comparable.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image_ref::{ImageRef, LocalImage};
use crate::platform::Platform;

/// Everything an engine needs to build one image: a plain value, so it can be
/// logged, compared, and replayed on another engine. Values of secrets, ssh agents and a tar on
/// standard input are in the [`Session`](crate::Session).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BuildRequest {
    /// Where the files come from.
    pub context: ContextSource,
    /// The Dockerfile.
    pub dockerfile: DockerfileSource,
    /// Names the image gets. Empty means it is known by its id alone.
    pub tags: Vec<ImageRef>,
    /// Values for `ARG`. Sorted, so that equal requests are equal bytes.
    pub build_args: BTreeMap<String, String>,
    /// Labels the image gets beside those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// The stage to build. Default: the last one.
    pub target: Option<String>,
    /// The platform to build for. Default: the engine's own.
    pub platform: Option<Platform>,
    /// Whether results of earlier builds are used.
    pub cache: CacheUse,
    /// When base images are pulled.
    pub pull: PullPolicy,
    /// The network of `RUN` steps.
    pub network: NetworkMode,
    /// Lines added to `/etc/hosts` of `RUN` steps.
    pub extra_hosts: Vec<ExtraHost>,
    /// The size of `/dev/shm` in `RUN` steps, in bytes. Default: the engine's, mostly 64 MiB.
    pub shm_size: Option<u64>,
    /// Images whose steps may be taken instead of being run.
    pub cache_from: Vec<ImageRef>,
    /// Ids of the session's secrets that steps may mount.
    pub secrets: Vec<String>,
    /// Ids of the session's ssh agents that steps may mount.
    pub ssh: Vec<String>,
    /// What the caller does with the image next.
    #[serde(default)]
    pub next: NextUse,
    /// Further contexts, by the names that `FROM` and `--from` have for them.
    #[serde(default)]
    pub contexts: BTreeMap<String, NamedContext>,
    /// The format of manifest and config. Default: what the config needs, OCI wherever that is enough.
    #[serde(default)]
    pub format: Option<ImageFormat>,
    /// Ids of secrets whose values may be in the image. The portable builder fails when it finds another one there.
    #[serde(default)]
    pub allow_secret_in_layer: Vec<String>,
}

impl BuildRequest {
    /// Returns a request to build the folder or stream `context` by its `Dockerfile`.
    #[must_use]
    pub fn new(context: ContextSource) -> Self {
        Self {
            context,
            dockerfile: DockerfileSource::default(),
            tags: Vec::new(),
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            target: None,
            platform: None,
            cache: CacheUse::default(),
            pull: PullPolicy::default(),
            network: NetworkMode::default(),
            extra_hosts: Vec::new(),
            shm_size: None,
            cache_from: Vec::new(),
            secrets: Vec::new(),
            ssh: Vec::new(),
            next: NextUse::default(),
            contexts: BTreeMap::new(),
            format: None,
            allow_secret_in_layer: Vec::new(),
        }
    }
}

/// What the caller does with an image next. It changes nothing about the image: an engine may use it to begin
/// early with what takes time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NextUse {
    /// Nothing that an engine could prepare.
    #[default]
    Nothing,
    /// A push.
    Push,
}

/// Where the files of a build come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextSource {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A tar stream, plain or compressed with gzip, bzip2, xz or zstd, taken from the session.
    Tar,
    /// A git or HTTP address.
    Address(String),
    /// No files at all: the Dockerfile is given as text.
    Empty,
}

/// The format of an image's manifest and config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFormat {
    /// That of the OCI image specification.
    Oci,
    /// Docker's, version 2, schema 2.
    Docker,
}

/// A further context of a build: files, or an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedContext {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A git or HTTP address.
    Address(String),
    /// An image, of the store or of its registry.
    Image(ImageRef),
    /// An image of an OCI layout on this machine.
    Layout {
        /// The layout.
        folder: PathBuf,
        /// The image's tag or digest. Default: there is only one.
        reference: Option<String>,
    },
}

/// The Dockerfile of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DockerfileSource {
    /// The first of `Dockerfile` and `Containerfile` at the root of the context.
    #[default]
    Default,
    /// A path: absolute, or relative to the root of the context.
    Path(PathBuf),
    /// Its text.
    Text(String),
}

/// Whether results of earlier builds are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheUse {
    /// They are.
    #[default]
    Use,
    /// Every step runs again.
    Ignore,
}

/// When images are pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    /// Always; a newer image replaces the local one.
    Always,
    /// When there is no local image of that name.
    #[default]
    Missing,
    /// Never; a missing image is an error.
    Never,
}

/// The network of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// The engine's own default.
    #[default]
    Default,
    /// The host's network.
    Host,
    /// No network.
    None,
}

/// One line for `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraHost {
    /// The host name.
    pub name: String,
    /// Its address.
    pub address: HostAddress,
}

/// The address of an [`ExtraHost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostAddress {
    /// This address.
    Ip(IpAddr),
    /// Whatever the engine calls the machine it runs on: `host-gateway`.
    HostGateway,
}

/// What a build came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BuildOutput {
    /// The image's id: the digest of its config.
    pub id: Digest,
    /// The manifest's digest, where the engine has a manifest before a push.
    pub digest: Option<Digest>,
    /// The names it got.
    pub tags: Vec<ImageRef>,
    /// The way it was built, such as `buildkit`.
    pub builder: String,
    /// The images that stages started or copied from, by their names as they are written, with the digests of
    /// their manifests. Empty where the builder does not tell.
    #[serde(default)]
    pub bases: BTreeMap<String, Digest>,
}

impl BuildOutput {
    /// Returns the outcome of a build that `builder` made.
    #[must_use]
    pub fn new(id: Digest, tags: Vec<ImageRef>, builder: impl Into<String>) -> Self {
        Self { id, digest: None, tags, builder: builder.into(), bases: BTreeMap::new() }
    }
}

/// What to push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PushRequest {
    /// The local image. Its registry and repository are the destination;
    /// credentials for them come from the session.
    pub image: ImageRef,
}

impl PushRequest {
    /// Returns a request to push `image` to the place that its name says.
    #[must_use]
    pub fn new(image: ImageRef) -> Self {
        Self { image }
    }
}

/// What a push came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PushOutput {
    /// Where it went.
    pub image: ImageRef,
    /// The manifest's digest, as the registry has it.
    pub digest: Digest,
}

impl PushOutput {
    /// Returns the outcome of a push.
    #[must_use]
    pub fn new(image: ImageRef, digest: Digest) -> Self {
        Self { image, digest }
    }
}

/// What to pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PullRequest {
    /// The image's name, by tag or by digest.
    pub image: ImageRef,
    /// The platform to take from an index. Default: the engine's own.
    pub platform: Option<Platform>,
}

impl PullRequest {
    /// Returns a request to pull `image` for the engine's platform.
    #[must_use]
    pub fn new(image: ImageRef) -> Self {
        Self { image, platform: None }
    }
}

/// What a pull came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PullOutput {
    /// The image's id: the digest of its config.
    pub id: Digest,
    /// The digest that the registry gave for the name, where the engine tells it.
    pub digest: Option<Digest>,
}

impl PullOutput {
    /// Returns the outcome of a pull.
    #[must_use]
    pub fn new(id: Digest, digest: Option<Digest>) -> Self {
        Self { id, digest }
    }
}

/// One image in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageSummary {
    /// The image's id: the digest of its config.
    pub id: Digest,
    /// Its names. Empty for an image known by its id alone.
    pub names: Vec<ImageRef>,
    /// When it was made, in seconds since 1970.
    pub created: Option<i64>,
    /// Its size in the engine's store, in bytes.
    pub size: Option<u64>,
}

impl ImageSummary {
    /// Returns a summary of the image `id`.
    #[must_use]
    pub fn new(id: Digest) -> Self {
        Self { id, names: Vec::new(), created: None, size: None }
    }
}

/// What an image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageDetails {
    /// What a list says of it.
    #[serde(flatten)]
    pub summary: ImageSummary,
    /// Names with the manifest digests they were pulled or pushed by.
    pub digests: Vec<ImageRef>,
    /// The platform it is for.
    pub platform: Platform,
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub command: Vec<String>,
    /// `ENV`, as `NAME=VALUE`, in order.
    pub environment: Vec<String>,
    /// `USER`.
    pub user: String,
    /// `WORKDIR`.
    pub working_directory: String,
    /// `LABEL`.
    pub labels: BTreeMap<String, String>,
    /// `EXPOSE`, such as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// `VOLUME`.
    pub volumes: Vec<String>,
    /// `STOPSIGNAL`.
    pub stop_signal: Option<String>,
    /// Digests of the uncompressed layers, lowest first.
    pub layers: Vec<Digest>,
}

impl ImageDetails {
    /// Returns details with nothing but a summary and a platform.
    #[must_use]
    pub fn new(summary: ImageSummary, platform: Platform) -> Self {
        Self {
            summary,
            digests: Vec::new(),
            platform,
            entrypoint: Vec::new(),
            command: Vec::new(),
            environment: Vec::new(),
            user: String::new(),
            working_directory: String::new(),
            labels: BTreeMap::new(),
            exposed_ports: Vec::new(),
            volumes: Vec::new(),
            stop_signal: None,
            layers: Vec::new(),
        }
    }
}

/// What to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RemoveRequest {
    /// A name loses that name, and the image with its last one; an id loses the image.
    pub image: LocalImage,
    /// Whether an id with several names, or in use by a stopped container, is removed all the same.
    pub force: bool,
}

impl RemoveRequest {
    /// Returns a request to remove `image` unless something else needs it.
    #[must_use]
    pub fn new(image: LocalImage) -> Self {
        Self { image, force: false }
    }
}

/// What a removal came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RemoveOutput {
    /// Names that are gone.
    pub untagged: Vec<ImageRef>,
    /// Ids of images that are gone.
    pub deleted: Vec<Digest>,
}

/// The format of an image archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveFormat {
    /// A tar of an OCI image layout.
    #[default]
    Oci,
    /// What `docker save` writes, with `manifest.json`.
    Docker,
}

/// What to export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExportRequest {
    /// The image.
    pub image: LocalImage,
    /// The format of the archive.
    pub format: ArchiveFormat,
    /// Where the archive goes. Written beside and renamed, so it is there whole or not at all.
    pub destination: PathBuf,
}

impl ExportRequest {
    /// Returns a request to write `image` to `destination` as an OCI archive.
    #[must_use]
    pub fn new(image: LocalImage, destination: PathBuf) -> Self {
        Self { image, format: ArchiveFormat::default(), destination }
    }
}

/// What to import. Names inside the archive are not applied (threat 43).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportRequest {
    /// An OCI or docker archive, plain or compressed. It must hold one image for the platform.
    pub archive: PathBuf,
    /// The names the image gets.
    pub names: Vec<ImageRef>,
}

impl ImportRequest {
    /// Returns a request to import `archive` under `names`.
    #[must_use]
    pub fn new(archive: PathBuf, names: Vec<ImageRef>) -> Self {
        Self { archive, names }
    }
}

/// What an import came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportOutput {
    /// The image's id: the digest of its config.
    pub id: Digest,
}

impl ImportOutput {
    /// Returns the outcome of an import.
    #[must_use]
    pub fn new(id: Digest) -> Self {
        Self { id }
    }
}

/// A command to run in an image, in a container that is removed afterwards. What it writes arrives
/// as [`Event::Output`](crate::Event::Output).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunRequest {
    /// The image.
    pub image: LocalImage,
    /// Arguments in place of `CMD`. Empty means the image's own.
    pub arguments: Vec<String>,
    /// A program in place of `ENTRYPOINT`. It takes the image's `CMD` away too.
    pub entrypoint: Option<String>,
    /// Variables beside those of the image.
    pub environment: BTreeMap<String, String>,
    /// The user in place of the image's.
    pub user: Option<String>,
    /// The working directory in place of the image's.
    pub working_directory: Option<String>,
    /// The network.
    pub network: NetworkMode,
}

impl RunRequest {
    /// Returns a request to run `image` as it says itself.
    #[must_use]
    pub fn new(image: LocalImage) -> Self {
        Self {
            image,
            arguments: Vec::new(),
            entrypoint: None,
            environment: BTreeMap::new(),
            user: None,
            working_directory: None,
            network: NetworkMode::default(),
        }
    }
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunOutput {
    /// The exit status of the command; 128 and the signal's number when a signal ended it.
    pub exit_code: i64,
}

impl RunOutput {
    /// Returns the outcome of a run.
    #[must_use]
    pub fn new(exit_code: i64) -> Self {
        Self { exit_code }
    }
}
