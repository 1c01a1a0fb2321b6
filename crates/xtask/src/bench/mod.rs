//! `cargo xtask bench`: times this program against others, by turns on one machine.

mod bed;
mod files;
mod measure;
mod native;
mod steps;
mod table;
mod workload;

use clap::{Args, Subcommand};

use crate::problem::Result;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// `boxwright build` against the engine's own command: cold, cached, and with one file changed
    Native(native::Options),
    /// The portable builder: copies against hashing the files, and steps against Buildah, BuildKit and Podman
    Portable(Options),
}

/// How to measure the portable builder.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    size: bed::Size,
    /// Measure only this part
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Size of one more file that is built alone, for its peak memory; 0 leaves it out
    #[arg(long, default_value_t = 0)]
    gigabytes: u64,
    /// Builders to run the steps with; all, if none is named
    #[arg(value_enum)]
    builders: Vec<steps::Builder>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Copies without a step
    Files,
    /// The reference workload, with steps
    Steps,
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(command: &Command) -> Result<()> {
    let options = match command {
        Command::Native(options) => return native::run(options),
        Command::Portable(options) => options,
    };
    if options.only != Some(Part::Steps) {
        files::run(&options.size, options.gigabytes)?;
    }
    if options.only != Some(Part::Files) {
        steps::run(&options.size, &options.builders)?;
    }
    Ok(())
}
