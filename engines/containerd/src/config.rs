//! The settings of this engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[engine.containerd]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ContainerdConfig {
    /// The socket, such as `unix:///run/containerd/containerd.sock` or its path alone. Defaults to
    /// `$CONTAINERD_ADDRESS`, then to containerd's usual sockets, k3s's and the rootless one.
    pub address: Option<String>,
    /// The namespace that images are kept in, such as `k8s.io` for a kubelet to see them. Defaults to
    /// `$CONTAINERD_NAMESPACE`, then to `default`.
    pub namespace: Option<String>,
    /// The snapshotter that images are unpacked with. Defaults to `$CONTAINERD_SNAPSHOTTER`, then to `overlayfs`
    /// where containerd has it, else to `native`.
    pub snapshotter: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let config: ContainerdConfig = toml::from_str("namespace = \"k8s.io\"").unwrap();
        assert_eq!(config.namespace.as_deref(), Some("k8s.io"));
        let error = toml::from_str::<ContainerdConfig>("name-space = \"x\"").unwrap_err();
        assert!(error.message().contains("name-space"), "{error}");
    }
}
