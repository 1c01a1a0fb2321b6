//! The settings of this engine.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[engine.podman]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PodmanConfig {
    /// Endpoint, such as `unix:///run/podman/podman.sock`, `ssh://USER@HOST/run/podman/podman.sock` or
    /// `tcp://HOST:PORT`. Defaults to `$CONTAINER_HOST`, then to the local sockets and Podman's default connection.
    pub host: Option<String>,
    /// The private key for an ssh endpoint. Defaults to `$CONTAINER_SSHKEY`, then to what ssh's own settings say.
    pub identity: Option<PathBuf>,
    /// A PEM file with the authorities that the certificate of a `tcp://` endpoint may come from. With it, or with
    /// `tls-cert`, such an endpoint is reached by TLS. Defaults to `$CONTAINER_TLS_CA`, then to the system's.
    pub tls_ca: Option<PathBuf>,
    /// A PEM file with the certificate that is shown to the service. Defaults to `$CONTAINER_TLS_CERT`.
    pub tls_cert: Option<PathBuf>,
    /// A PEM file with the key of that certificate. Defaults to `$CONTAINER_TLS_KEY`.
    pub tls_key: Option<PathBuf>,
    /// Whether a private service is started for the duration where the program `podman` is there and no service
    /// listens.
    pub autostart: bool,
}

impl Default for PodmanConfig {
    fn default() -> Self {
        Self {
            host: None,
            identity: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            autostart: true,
        }
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
