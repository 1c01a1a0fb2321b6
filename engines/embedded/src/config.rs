//! The settings of this engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[engine.embedded]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EmbeddedConfig {
    /// The folder that images and cached steps are kept in. Defaults to `$BOXWRIGHT_STORE`, then for root to
    /// `/var/lib/boxwright`, for everyone else to `~/.local/share/boxwright`.
    pub store: Option<String>,
    /// The program `boxwright-worker` that runs commands, in place of the one that this program carries.
    pub worker: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let config: EmbeddedConfig = toml::from_str("store = \"/a\"").unwrap();
        assert_eq!(config.store.as_deref(), Some("/a"));
        let error = toml::from_str::<EmbeddedConfig>("folder = \"/a\"").unwrap_err();
        assert!(error.message().contains("folder"), "{error}");
    }
}
