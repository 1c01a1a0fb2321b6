//! `boxwright df` and `boxwright prune`.

use clap::Args;

use super::FormatArgs;

/// `boxwright df`.
#[derive(Debug, Args)]
pub(crate) struct DfArgs {
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// `boxwright prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Remove images that have a name too
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Only what was not used for so long, such as `24h` or `7d`
    #[arg(long, value_name = "TIME")]
    pub(crate) older_than: Option<String>,
    /// Only until the store is no larger than this, such as `10g`, the longest unused first
    #[arg(long, value_name = "SIZE")]
    pub(crate) keep_storage: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
