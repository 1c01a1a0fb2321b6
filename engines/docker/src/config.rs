//! The `[engine.docker]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[engine.docker]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DockerConfig {
    /// Endpoint: `unix:///PATH`, `tcp://HOST:PORT` or `ssh://USER@HOST`. Defaults to `$DOCKER_HOST`, then to
    /// the current Docker context, then to the usual sockets.
    pub host: Option<String>,
    /// The way to build. Defaults to BuildKit where the daemon has it; `DOCKER_BUILDKIT=0` makes it `classic`.
    pub builder: Option<Builder>,
    /// Whether a `tcp://` endpoint without TLS may be on another machine. Whoever is between reads and
    /// changes everything. Default: no.
    pub allow_plain_tcp: bool,
}

/// A way in which Docker builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Builder {
    /// BuildKit inside the daemon, since Docker 18.09.
    BuildKit,
    /// The builder that Docker had before.
    Classic,
}

impl Builder {
    /// Returns the name in settings, lists and results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuildKit => "buildkit",
            Self::Classic => "classic",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_by_their_documented_names() {
        let text = r#"{"host": "unix:///a", "builder": "buildkit", "allow-plain-tcp": true}"#;
        let config: DockerConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.builder, Some(Builder::BuildKit));
        assert!(config.allow_plain_tcp);
        let unknown = serde_json::from_str::<DockerConfig>(r#"{"hots": "unix:///a"}"#);
        assert!(unknown.unwrap_err().to_string().contains("unknown field `hots`"));
        for builder in [Builder::BuildKit, Builder::Classic] {
            let text = serde_json::to_string(&builder).unwrap();
            assert_eq!(text, format!("\"{}\"", builder.as_str()));
        }
    }
}
