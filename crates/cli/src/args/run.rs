//! `boxwright run`.

use clap::Args;

use super::{EngineArgs, Network};

/// `boxwright run`.
#[derive(Debug, Args)]
#[command(after_help = "The exit code is that of the command.")]
pub(crate) struct RunArgs {
    /// The image: a name, an id, or at least twelve digits of an id; it is not pulled
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// Arguments in place of the image's own
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
    /// A program in place of the image's entry point
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,
    /// A variable; NAME alone takes the value of that variable here
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// The user in place of the image's
    #[arg(long, short, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// The working directory in place of the image's
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) workdir: Option<String>,
    /// The network of the container
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub(crate) network: Network,
    /// Remove the container afterwards: what happens anyway
    #[arg(long, hide = true)]
    pub(crate) rm: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}
