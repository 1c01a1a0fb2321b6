//! What is asked of a builder, and what it answers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::digest::Digest;
use crate::image_ref::ImageRef;
use crate::platform::Platform;
use crate::session::Session;

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
    /// The platforms to build for. Empty means the engine's own. Several give an image for each, and an index of them.
    #[serde(default)]
    pub platforms: Vec<Platform>,
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
    /// Whether no time of this build may be in the image: every time is `SOURCE_DATE_EPOCH`, or else that of 1970.
    #[serde(default)]
    pub reproducible: bool,
    /// Ids of secrets whose values may be in the image. The portable builder fails when it finds another one there.
    #[serde(default)]
    pub allow_secret_in_layer: Vec<String>,
    /// Names by which the engine's own programs launch instances of the image. Empty: there is no image for that.
    #[serde(default)]
    pub instance_aliases: Vec<String>,
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
            platforms: Vec::new(),
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
            reproducible: false,
            allow_secret_in_layer: Vec::new(),
            instance_aliases: Vec::new(),
        }
    }

    /// Returns the platform to build for, where it is one: an engine that builds for several at once looks at all of
    /// [`platforms`](Self::platforms).
    #[must_use]
    pub fn platform(&self) -> Option<&Platform> {
        self.platforms.first()
    }

    /// Returns the capabilities that building with these options, and what `session` gives beside them, needs. What the
    /// Dockerfile needs is not among them.
    #[must_use]
    pub fn needs(&self, session: &Session) -> Vec<Capability> {
        let mut needs = vec![Capability::Build];
        let mut need = |capability, is_needed| {
            if is_needed {
                needs.push(capability);
            }
        };
        need(Capability::BuildFromTar, self.context == ContextSource::Tar);
        need(Capability::BuildFromAddress, matches!(self.context, ContextSource::Address(_)));
        need(Capability::BuildForPlatform, !self.platforms.is_empty());
        need(Capability::BuildForPlatforms, self.platforms.len() > 1);
        need(Capability::BuildSecrets, !self.secrets.is_empty());
        need(Capability::BuildSsh, !self.ssh.is_empty());
        need(Capability::BuildCacheFrom, !self.cache_from.is_empty());
        need(Capability::BuildContexts, !self.contexts.is_empty());
        need(Capability::BuildFormat, self.format.is_some());
        need(Capability::BuildReproducible, self.reproducible);
        need(Capability::BuildExtraHosts, !self.extra_hosts.is_empty());
        need(Capability::BuildShmSize, self.shm_size.is_some());
        need(Capability::BuildNetwork, self.network != NetworkMode::Default);
        need(Capability::BuildCaBundle, session.ca_bundle.is_some());
        need(Capability::BuildInstanceImage, !self.instance_aliases.is_empty());
        needs
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
    /// The image's id: the digest of its config; of a build for several platforms that of the index.
    pub id: Digest,
    /// The manifest's digest, or the index's, where the engine has a manifest before a push.
    pub digest: Option<Digest>,
    /// The names it got.
    pub tags: Vec<ImageRef>,
    /// The way it was built, such as `buildkit`.
    pub builder: String,
    /// The images that stages started or copied from, by their names as they are written, with the digests of
    /// their manifests; of a build for several platforms with ` (PLATFORM)` behind each. Empty where the builder does
    /// not tell.
    #[serde(default)]
    pub bases: BTreeMap<String, Digest>,
    /// What the engine itself calls the image that instances are launched from, if there is one.
    #[serde(default)]
    pub instance_image: Option<String>,
    /// Of a build for several platforms, the images that the index lists, in its order. Empty for one image.
    #[serde(default)]
    pub images: Vec<PlatformImage>,
}

impl BuildOutput {
    /// Returns the outcome of a build that `builder` made.
    #[must_use]
    pub fn new(id: Digest, tags: Vec<ImageRef>, builder: impl Into<String>) -> Self {
        Self {
            id,
            digest: None,
            tags,
            builder: builder.into(),
            bases: BTreeMap::new(),
            instance_image: None,
            images: Vec::new(),
        }
    }
}

/// One image of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformImage {
    /// What it is for.
    pub platform: Platform,
    /// The image's id: the digest of its config.
    pub id: Digest,
    /// The manifest's digest.
    pub digest: Digest,
}
