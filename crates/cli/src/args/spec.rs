//! `boxwright spec`.

use clap::{Args, Subcommand};

/// `boxwright spec`.
#[derive(Debug, Args)]
pub(crate) struct SpecArgs {
    #[command(subcommand)]
    pub(crate) command: SpecCommand,
}

/// What to show.
#[derive(Debug, Subcommand)]
pub(crate) enum SpecCommand {
    /// Print the Dockerfile, or write it with its context into a folder
    Render(RenderArgs),
    /// Print the image's name, with the tag of its content
    Tag(TagSpecArgs),
    /// Print the JSON schema of a specification
    Schema,
}

/// `boxwright spec render`.
#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    /// The specification: a `.yaml`, `.toml` or `.json` file
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
    /// The folder to write to: a new one, or an empty one
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) output: Option<String>,
}

/// `boxwright spec tag`.
#[derive(Debug, Args)]
pub(crate) struct TagSpecArgs {
    /// The specification: a `.yaml`, `.toml` or `.json` file
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
}
