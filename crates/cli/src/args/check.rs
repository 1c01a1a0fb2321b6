//! `boxwright exists` and `boxwright check`.

use clap::Args;

use super::FormatArgs;

/// `boxwright exists`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 it is there, 1 it is not there, 5 the registry did not say.")]
pub(crate) struct ExistsArgs {
    /// The image, by tag or by digest
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// The platform it must be there for [default: any]
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// `boxwright check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The image, by tag or by digest
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// Who pulls: `anonymous`, `helper:NAME` for a credential helper, or a credentials file such as the
    /// `.dockerconfigjson` of a cluster's pull secret [default: you]
    #[arg(long = "as", value_name = "WHO")]
    pub(crate) who: Option<String>,
    /// The platform of the cluster [default: this machine's]
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<String>,
    /// Asks instead whether a push would be allowed: begins an upload and cancels it
    #[arg(long, conflicts_with = "platform")]
    pub(crate) push: bool,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
