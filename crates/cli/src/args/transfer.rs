//! `boxwright push` and `boxwright pull`.

use clap::Args;

use super::{EngineArgs, FormatArgs, ProgressArgs};

/// `boxwright push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The images; registry and repository in the name are the destination
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,
    #[command(flatten)]
    pub(crate) progress: ProgressArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// `boxwright pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The images, by tag or by digest
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,
    /// The platform to take from an index [default: the engine's own]
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<String>,
    #[command(flatten)]
    pub(crate) progress: ProgressArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}
