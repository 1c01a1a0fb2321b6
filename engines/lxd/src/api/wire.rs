//! What the server answers, as far as it is read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What every answer is wrapped in.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    /// `sync`, `async` or `error`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) metadata: Value,
}

/// `GET /1.0`, as anyone may see it and as who is trusted does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServerInfo {
    /// `trusted` or `untrusted`.
    pub(crate) auth: String,
    pub(crate) environment: Environment,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Environment {
    /// `lxd` or `incus`.
    pub(crate) server: String,
    pub(crate) server_version: String,
    pub(crate) server_name: String,
    pub(crate) server_clustered: bool,
}

/// A profile, or an instance as it is with its profiles applied.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Profile {
    pub(crate) devices: BTreeMap<String, Device>,
}

/// The settings of one device: its `type`, and what that kind has.
pub(crate) type Device = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) driver: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) managed: bool,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) config: BTreeMap<String, String>,
}
