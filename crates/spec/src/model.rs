//! The fields of a specification.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

/// What an image is made of. The fields, and what they mean, are those of Flyte's `ImageSpec`.
///
/// Paths are relative to the folder of the file that names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImageSpec {
    /// The image's name in its registry. Default: `flytekit`.
    pub name: Option<String>,
    /// Where the image is pushed to, such as `ghcr.io/acme`. Default: it has no registry and is not pushed.
    pub registry: Option<String>,
    /// Who builds it, for tools that choose between builders. Boxwright builds whatever it says.
    pub builder: Option<String>,
    /// The image it is built on: a name, the file of another specification, or another specification, which is built
    /// first. Default: an image of Python.
    pub base_image: Option<Base>,
    /// The version of Python, such as `3.12`. Default: that of the base image.
    pub python_version: Option<String>,
    /// The program of Python in the base image that packages are installed for.
    pub python_exec: Option<String>,
    /// Packages of Python, as in a requirements file.
    pub packages: Option<Vec<String>>,
    /// A file with requirements: `requirements.txt`, `uv.lock`, `poetry.lock` or `pyproject.toml`.
    pub requirements: Option<String>,
    /// Packages of Debian.
    pub apt_packages: Option<Vec<String>>,
    /// Packages of conda.
    pub conda_packages: Option<Vec<String>>,
    /// Channels of conda, after `conda-forge`.
    pub conda_channels: Option<Vec<String>>,
    /// Refused, as Flyte does: take a base image that has it.
    pub cuda: Option<String>,
    /// Refused, as Flyte does: take a base image that has it.
    pub cudnn: Option<String>,
    /// Variables of the image. `$NAME` is the value that the base image has for it, `$$` a dollar sign.
    pub env: Option<BTreeMap<String, String>>,
    /// The platform, such as `linux/arm64`. Default: `linux/amd64`, and on an arm64 machine with a registry on
    /// `localhost`, `linux/arm64`.
    pub platform: Option<String>,
    /// The index that packages of Python come from.
    pub pip_index: Option<String>,
    /// Further indexes.
    pub pip_extra_index_url: Option<Vec<String>>,
    /// Further arguments of the installer.
    pub pip_extra_args: Option<String>,
    /// Files that are there while packages are installed, and never in the image: pairs of a file and the path it has.
    pub pip_secret_mounts: Option<Vec<(String, String)>>,
    /// The program that a container runs; an empty list takes away that of the base image.
    pub entrypoint: Option<Vec<String>>,
    /// Commands that are run at the end, one after another in one shell.
    pub commands: Option<Vec<String>>,
    /// Files and folders that are copied to the same place below `/root`.
    pub copy: Option<Vec<String>>,
    /// The folder whose files are copied to `/root`.
    pub source_root: Option<String>,
    /// Which files of `source_root` are copied. Default: `auto` if there is a `source_root`.
    pub source_copy_mode: Option<CopyMode>,
    /// How the tag is written; `{spec_hash}` is the digest of the content.
    pub tag_format: Option<String>,
    /// How Boxwright builds it. No part of the image.
    pub builder_options: Option<BuilderOptions>,
    /// Images that tools are taken from.
    pub builder_config: Option<BuilderConfig>,
    /// Read by Flyte's other builders alone; log in with `boxwright login`.
    pub registry_config: Option<String>,
    /// Packages that Flyte installs when a task starts. No part of the image.
    pub runtime_packages: Option<Vec<String>>,
}

/// What an image is built on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Base {
    /// An image by name, or the file of a specification.
    Name(String),
    /// Another specification.
    Spec(Box<ImageSpec>),
}

/// Which files of the source are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CopyMode {
    /// Files of Python. (Flyte knows which modules are loaded; a file does not.)
    #[serde(alias = "loaded_modules")]
    Auto,
    /// All files but those that `.dockerignore` names, `.git`, and what Python caches.
    All,
    /// None.
    #[serde(alias = "no_copy")]
    None,
}

/// How Boxwright builds an image: what `boxwright build` has flags for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BuilderOptions {
    /// The engine to use.
    pub engine: Option<String>,
    /// The builder of that engine.
    pub builder: Option<String>,
    /// `true` runs every step again.
    pub no_cache: Option<String>,
}

/// Images that tools are taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BuilderConfig {
    /// The image with micromamba, for conda packages alone.
    pub micromamba_image: Option<String>,
    /// Of no use here: uv comes from its package.
    pub uv_image: Option<String>,
}

/// Returns the JSON schema of a specification.
#[must_use]
pub fn schema() -> Schema {
    schemars::schema_for!(ImageSpec)
}
