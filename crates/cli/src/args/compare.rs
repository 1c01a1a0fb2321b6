//! `boxwright compare`.

use clap::Args;

use super::FormatArgs;

/// `boxwright compare`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 nothing differs, 1 something does, or the work failed.

Examples:
  boxwright compare ghcr.io/acme/api:1.3 ghcr.io/acme/api:1.4
  boxwright compare api@docker api@podman")]
pub(crate) struct CompareArgs {
    /// The first image: `IMAGE@ENGINE` of an engine's store, or the name of one in a registry
    #[arg(value_name = "IMAGE")]
    pub(crate) first: String,
    /// The second image, likewise
    #[arg(value_name = "IMAGE")]
    pub(crate) second: String,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
