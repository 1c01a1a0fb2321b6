//! The settings of this engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[engine.lxd]` table. It is for Incus, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LxdConfig {
    /// Endpoint, such as `unix:///var/lib/lxd/unix.socket` or `https://HOST:8443`. Defaults to `$LXD_SOCKET`, `$LXD_DIR`,
    /// `$INCUS_SOCKET`, `$INCUS_DIR`, then to the usual sockets and the default remote of `lxc` and `incus`.
    pub host: Option<String>,
    /// A remote, as `lxc remote list` or `incus remote list` names it. `host` comes before it.
    pub remote: Option<String>,
    /// The project that instances and images are in. Default: the remote's, else `default`.
    pub project: Option<String>,
    /// The storage pool of the worker instance and its volume. Default: the profile's, else the only one.
    pub pool: Option<String>,
    /// The network of the worker instance. Default: the profile's, else the only managed bridge.
    pub network: Option<String>,
    /// The member of a cluster that the worker instance is on. Default: the server's own choice.
    pub target: Option<String>,
    /// The profile of the worker instance. Default: `default`.
    pub profile: Option<String>,
    /// How many processors the worker instance may use, such as `2`. Default: all.
    pub limits_cpu: Option<String>,
    /// How much memory the worker instance may use, such as `2GiB`. Default: all.
    pub limits_memory: Option<String>,
    /// Whether every image that is built and has a name is published, too, as one that `lxc launch` starts: `acme/api:1.4` under the
    /// alias `api/1.4`, `acme/api` under `api`. Default: no.
    pub publish: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let config: LxdConfig = toml::from_str("limits-cpu = \"2\"\npool = \"fast\"").unwrap();
        assert_eq!(config.limits_cpu.as_deref(), Some("2"));
        let error = toml::from_str::<LxdConfig>("storage = \"fast\"").unwrap_err();
        assert!(error.message().contains("storage"), "{error}");
    }
}
