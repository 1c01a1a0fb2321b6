//! The two files, as types. Unknown keys are refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use boxwright_core::{PullPolicy, RegistrySetting};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

/// The user's own file, `~/.config/boxwright/config.toml`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct UserFile {
    /// Which engine is used, and how each one is reached.
    pub engine: EngineTable,
    /// How images are built.
    pub build: BuildTable,
    /// Images that image specifications take where they name none.
    pub spec: SpecTable,
    /// How single registries are reached, by host with port.
    pub registry: BTreeMap<String, RegistrySetting>,
}

/// The `[engine]` table of the user's file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EngineTable {
    /// The engine to use, or `auto` for the first ready one that `prefer` lists. Default: `auto`.
    pub r#use: Option<String>,
    /// The engines that `auto` may choose, best first. Default: `["docker", "podman", "containerd", "lxd", "embedded"]`.
    pub prefer: Option<Vec<String>>,
    /// How Docker is reached.
    #[cfg(feature = "docker")]
    pub docker: boxwright_engine_docker::DockerConfig,
    /// How Podman is reached.
    #[cfg(feature = "podman")]
    pub podman: boxwright_engine_podman::PodmanConfig,
    /// How containerd is reached, and where it keeps images.
    #[cfg(feature = "containerd")]
    pub containerd: boxwright_engine_containerd::ContainerdConfig,
    /// How LXD and Incus are reached, and what a worker instance gets there.
    #[cfg(feature = "lxd")]
    pub lxd: boxwright_engine_lxd::LxdConfig,
    /// Where the embedded engine keeps images.
    #[cfg(feature = "embedded")]
    pub embedded: boxwright_engine_embedded::EmbeddedConfig,
}

/// The `[build]` table of the user's file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BuildTable {
    /// The builder to use: `auto`, `native`, `portable`, or one of the engine's own, such as `classic`. `auto` is the
    /// engine's own where that has all that the build needs, else the portable one. Default: `auto`.
    pub builder: Option<String>,
    /// The platform to build for, such as `linux/arm64`, or several with commas. Default: the engine's own.
    pub platform: Option<String>,
    /// When base images are pulled. Default: `missing`.
    pub pull: Option<PullPolicy>,
    /// How progress is shown. Default: `auto`.
    pub progress: Option<ProgressMode>,
    /// A PEM file with authorities that `RUN` steps trust beside those of their image.
    pub ca_bundle: Option<PathBuf>,
}

/// The `[spec]` table of both files.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SpecTable {
    /// The base image of a specification that names none; `{version}` is its version of Python. Default:
    /// `docker.io/library/python:{version}-slim-bookworm`.
    pub python_image: Option<String>,
    /// Where `/usr/bin/micromamba` is taken from, for packages of conda. Default:
    /// `docker.io/mambaorg/micromamba:2.0.3-debian12-slim`.
    pub micromamba_image: Option<String>,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProgressMode {
    /// A live tree on a terminal, plain lines otherwise.
    #[default]
    Auto,
    /// A live tree.
    Tty,
    /// Plain lines.
    Plain,
    /// One JSON object a line.
    Json,
}

/// A project's file, `boxwright.toml`. It is part of a checkout: it chooses an engine and says how to
/// build, and has no place for endpoints, credentials or registries.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProjectFile {
    /// Which engine is used.
    pub engine: ProjectEngineTable,
    /// How images are built.
    pub build: ProjectBuildTable,
    /// Images that image specifications take where they name none.
    pub spec: SpecTable,
}

/// The `[build]` table of a project's file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProjectBuildTable {
    /// The builder to use: `auto`, `native`, `portable`, or one of the engine's own, such as `classic`. `auto` is the
    /// engine's own where that has all that the build needs, else the portable one. Default: `auto`.
    pub builder: Option<String>,
    /// The platform to build for, such as `linux/arm64`, or several with commas. Default: the engine's own.
    pub platform: Option<String>,
    /// When base images are pulled. Default: `missing`.
    pub pull: Option<PullPolicy>,
    /// How progress is shown. Default: `auto`.
    pub progress: Option<ProgressMode>,
}

impl From<ProjectBuildTable> for BuildTable {
    fn from(table: ProjectBuildTable) -> Self {
        let ProjectBuildTable { builder, platform, pull, progress } = table;
        Self { builder, platform, pull, progress, ca_bundle: None }
    }
}

/// The `[engine]` table of a project's file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProjectEngineTable {
    /// The engine to use, or `auto` for the first ready one that `prefer` lists. Default: `auto`.
    pub r#use: Option<String>,
    /// The engines that `auto` may choose, best first. Default: `["docker", "podman", "containerd", "lxd", "embedded"]`.
    pub prefer: Option<Vec<String>>,
}

/// Returns the JSON schema of the two files: of the user's, with that of the project's as a definition.
#[must_use]
pub fn schema() -> (Schema, Schema) {
    (schemars::schema_for!(UserFile), schemars::schema_for!(ProjectFile))
}
