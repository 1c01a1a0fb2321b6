//! `boxwright build`.

use boxwright_core::{ImageFormat, NetworkMode, PullPolicy};
use clap::{Args, ValueEnum};

use super::{EngineArgs, ProgressArgs};

/// `boxwright build`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  boxwright build . -t ghcr.io/acme/api:1.4 --push
  boxwright build . --secret id=token,src=token.txt --build-arg VERSION=1.4
  tar -c . | boxwright build - -t api
  boxwright build . --output type=oci,dest=api.tar
  boxwright build spec.yaml --push")]
pub(crate) struct BuildArgs {
    /// The folder with the files, or an image specification (`.yaml`, `.toml`, `.json`); `-` reads a tar, or a Dockerfile alone, from standard input
    #[arg(value_name = "CONTEXT")]
    pub(crate) context: String,
    /// The Dockerfile; `-` reads it from standard input [default: CONTEXT/Dockerfile]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<String>,
    /// A name for the image, such as `ghcr.io/acme/api:1.4`; may be repeated
    #[arg(long, short, value_name = "NAME")]
    pub(crate) tag: Vec<String>,
    /// Push the image under all its names, and print each with its digest
    #[arg(long)]
    pub(crate) push: bool,
    /// Ask before the build whether the push is allowed, and after it whether WHO can pull the image: `anonymous`,
    /// `helper:NAME`, or a credentials file such as a cluster's pull secret
    #[arg(long, value_name = "WHO", requires = "push")]
    pub(crate) check_as: Option<String>,
    /// Create a repository that is missing on Amazon ECR or Google Artifact Registry, by `aws` or `gcloud`
    #[arg(long, requires = "push")]
    pub(crate) create_repository: bool,
    /// Build an image specification even if the registry has its image
    #[arg(long)]
    pub(crate) force: bool,

    /// A further context for `FROM` and `--from`: `NAME=FOLDER`, `NAME=docker-image://IMAGE`,
    /// `NAME=oci-layout://FOLDER[:TAG]`, or a git or HTTP address; may be repeated
    #[arg(long, value_name = "NAME=CONTEXT")]
    pub(crate) build_context: Vec<String>,
    /// The stage to build [default: the last one]
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,
    /// A value for `ARG`; NAME alone takes the value of that variable
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) build_arg: Vec<String>,
    /// A label for the image
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) label: Vec<String>,
    /// The platform to build for, such as `linux/arm64` [default: the engine's own]; several, with commas or repeated,
    /// give an index of one image for each
    #[arg(long, value_name = "OS/ARCH[,…]")]
    pub(crate) platform: Vec<String>,
    /// Run every step again
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// When base images are pulled; `--pull` alone means always [default: missing]
    #[arg(long, value_name = "WHEN", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub(crate) pull: Option<Pull>,
    /// An image whose steps may be reused: a name, or `type=registry,ref=NAME`
    #[arg(long, value_name = "IMAGE")]
    pub(crate) cache_from: Vec<String>,

    /// The network of `RUN` steps
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub(crate) network: Network,
    /// A line for `/etc/hosts` of `RUN` steps; the address may be `host-gateway`
    #[arg(long, value_name = "HOST:ADDRESS")]
    pub(crate) add_host: Vec<String>,
    /// The size of `/dev/shm` in `RUN` steps, such as `64m`
    #[arg(long, value_name = "SIZE")]
    pub(crate) shm_size: Option<String>,
    /// A PEM file with authorities that `RUN` steps trust, such as that of a proxy that looks into TLS; nothing of it is in
    /// the image
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_bundle: Option<String>,
    /// A secret that `RUN --mount=type=secret` may read: `id=ID,src=FILE` or `id=ID,env=NAME`
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Vec<String>,
    /// A secret that the portable builder may leave in the image, where it fails for any other; may be repeated
    #[arg(long, value_name = "ID")]
    pub(crate) allow_secret_in_layer: Vec<String>,
    /// An ssh agent that `RUN --mount=type=ssh` may use: `default`, or `ID=SOCKET`
    #[arg(long, value_name = "ID[=SOCKET]")]
    pub(crate) ssh: Vec<String>,

    /// Write the result: `type=oci|docker|local|tar,dest=PATH`; or have LXD launch it: `type=lxd,alias=NAME`; may be repeated
    #[arg(long, short, value_name = "OUTPUT")]
    pub(crate) output: Vec<String>,
    /// The format of manifest and config [default: what the image needs, OCI where that is enough]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,
    /// Keep the time of this build out of the image: each is `SOURCE_DATE_EPOCH`, or else the first second of 1970; a
    /// build whose steps are deterministic then gives the same digest again. The portable builder can
    #[arg(long)]
    pub(crate) reproducible: bool,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<String>,
    /// Write digests and names as JSON to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<String>,
    #[command(flatten)]
    pub(crate) progress: ProgressArgs,
    /// Keep the image in the engine: what happens anyway
    #[arg(long, hide = true)]
    pub(crate) load: bool,

    /// `auto`, `native`, `portable`, or one of the engine's own, such as `classic` [default: auto: the engine's own
    /// where it has all that the build needs, else the portable one; env: BOXWRIGHT_BUILDER]
    #[arg(long, value_name = "NAME", help_heading = "Engine")]
    pub(crate) builder: Option<String>,
    /// Print which builder would build, and what each needed feature has to do with it, and build nothing
    #[arg(long, value_name = "FORMAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "text", help_heading = "Engine")]
    pub(crate) explain: Option<super::Format>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// The format of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The OCI's
    Oci,
    /// Docker's
    Docker,
}

impl From<Format> for ImageFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Oci => Self::Oci,
            Format::Docker => Self::Docker,
        }
    }
}

/// When base images are pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pull {
    /// Always; a newer one replaces the local one
    #[value(alias = "true")]
    Always,
    /// When there is none of that name
    #[value(alias = "false")]
    Missing,
    /// Never; a missing one is an error
    Never,
}

impl From<Pull> for PullPolicy {
    fn from(pull: Pull) -> Self {
        match pull {
            Pull::Always => Self::Always,
            Pull::Missing => Self::Missing,
            Pull::Never => Self::Never,
        }
    }
}

/// The network of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    /// The engine's own
    #[default]
    Default,
    /// The host's
    Host,
    /// None at all
    None,
}

impl From<Network> for NetworkMode {
    fn from(network: Network) -> Self {
        match network {
            Network::Default => Self::Default,
            Network::Host => Self::Host,
            Network::None => Self::None,
        }
    }
}
