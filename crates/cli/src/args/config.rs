//! `boxwright config` and `boxwright completions`.

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::FormatArgs;

/// `boxwright config`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ConfigCommand>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the JSON schema of the settings files
    Schema(SchemaArgs),
}

/// `boxwright config schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// The schema of a project's file, `boxwright.toml`, in place of the user's file
    #[arg(long)]
    pub(crate) project: bool,
}

/// `boxwright completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}
