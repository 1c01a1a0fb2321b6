//! How single registries are to be reached, as the user's own settings say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[registry."HOST"]` tables of the user's file, by host with port.
///
/// They never come from a project's file: a checkout is not trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegistrySettings(pub BTreeMap<String, RegistrySetting>);

impl RegistrySettings {
    /// Returns what is set for `host`, if anything is.
    #[must_use]
    pub fn get(&self, host: &str) -> Option<&RegistrySetting> {
        self.0.get(host)
    }
}

/// How one registry is to be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RegistrySetting {
    /// A PEM file with the certificate authorities that this registry's certificate may come from,
    /// beside the system's.
    pub ca: Option<PathBuf>,
    /// A PEM file with the certificate that the client shows.
    pub client_certificate: Option<PathBuf>,
    /// A PEM file with the key of that certificate.
    pub client_key: Option<PathBuf>,
    /// Whether plain HTTP and certificates that do not verify are accepted. Default: no.
    pub insecure: bool,
    /// Whether plain HTTP is spoken. Default: only with a loopback address.
    pub plain_http: Option<bool>,
    /// Hosts that are asked first when pulling.
    pub mirrors: Vec<String>,
}

impl RegistrySetting {
    /// Returns whether a transfer by a daemon could ignore what is set here.
    #[must_use]
    pub fn needs_direct_transfer(&self) -> bool {
        *self != Self::default()
    }
}
