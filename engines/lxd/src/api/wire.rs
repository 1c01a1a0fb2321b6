//! What the server answers, as far as it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What every answer is wrapped in.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    /// `sync`, `async` or `error`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The path of the operation, of an `async` answer.
    #[serde(default)]
    pub(crate) operation: String,
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
    /// In the words of the kernel, best first, such as `x86_64` and `i686`.
    pub(crate) architectures: Vec<String>,
}

/// Something that runs for a while.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Operation {
    pub(crate) status_code: u16,
    pub(crate) err: String,
    /// A map, or null.
    pub(crate) metadata: Value,
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

/// Who has which address in a network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Lease {
    pub(crate) address: String,
}

/// An instance, as lists and itself tell it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Instance {
    pub(crate) name: String,
    /// Such as `Running` or `Stopped`.
    pub(crate) status: String,
    pub(crate) config: BTreeMap<String, String>,
}

/// A volume of a pool, as lists tell it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) config: BTreeMap<String, String>,
    /// The paths of the instances that it is in.
    pub(crate) used_by: Vec<String>,
}

/// What runs for a while, by its state.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Operations {
    running: Vec<Concerned>,
    pending: Vec<Concerned>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Concerned {
    /// Paths, by the kind of thing; or null.
    resources: Option<BTreeMap<String, Vec<String>>>,
}

impl Operations {
    /// Returns whether one of them has to do with what is at `path`.
    pub(crate) fn concern(&self, path: &str) -> bool {
        let resources =
            self.running.iter().chain(&self.pending).filter_map(|it| it.resources.as_ref());
        // With another project, the path ends with it.
        let same = |found: &String| found.split('?').next() == Some(path);
        resources.flat_map(BTreeMap::values).flatten().any(same)
    }
}

/// An image, as lists tell it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Image {
    pub(crate) fingerprint: String,
    pub(crate) properties: BTreeMap<String, String>,
}

/// A name of an image, as it is told and set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Alias {
    pub(crate) name: String,
    /// The fingerprint of the image.
    pub(crate) target: String,
    pub(crate) description: String,
}

/// What `POST /1.0/instances/NAME/exec` takes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Exec<'a> {
    pub(crate) command: &'a [&'a str],
    pub(crate) wait_for_websocket: bool,
    pub(crate) interactive: bool,
}
