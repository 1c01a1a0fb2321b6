//! The settings of this engine.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[engine.podman]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PodmanConfig {
    /// Endpoint, such as `unix:///run/podman/podman.sock` or `ssh://USER@HOST/run/podman/podman.sock`. Defaults to
    /// `$CONTAINER_HOST`, then to the local sockets and Podman's default connection.
    pub host: Option<String>,
    /// The private key for an ssh endpoint. Defaults to `$CONTAINER_SSHKEY`, then to what ssh's own settings say.
    pub identity: Option<PathBuf>,
    /// Whether a private service is started for the duration where the program `podman` is there and no service
    /// listens.
    pub autostart: bool,
}

impl Default for PodmanConfig {
    fn default() -> Self {
        Self { host: None, identity: None, autostart: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let config: PodmanConfig = toml::from_str("autostart = false").unwrap();
        assert_eq!(config, PodmanConfig { autostart: false, ..PodmanConfig::default() });
        let error = toml::from_str::<PodmanConfig>("auto-start = false").unwrap_err();
        assert!(error.message().contains("auto-start"), "{error}");
    }
}
