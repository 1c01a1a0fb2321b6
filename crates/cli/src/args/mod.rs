//! What can be said on the command line: one file for each subcommand, and what several share.

mod build;
mod check;
mod compare;
mod config;
#[cfg(test)]
mod guides;
mod images;
mod login;
mod run;
mod spec;
mod store;
mod transfer;

pub(crate) use build::{BuildArgs, Network};
pub(crate) use check::{CheckArgs, ExistsArgs};
pub(crate) use compare::CompareArgs;
pub(crate) use config::{CompletionsArgs, ConfigArgs, ConfigCommand};
pub(crate) use images::{ImagesArgs, InspectArgs, RemoveArgs, TagArgs};
pub(crate) use login::{LoginArgs, LogoutArgs};
pub(crate) use run::RunArgs;
pub(crate) use spec::{SpecArgs, SpecCommand};
pub(crate) use store::{DfArgs, PruneArgs};
pub(crate) use transfer::{PullArgs, PushArgs};

use boxwright_engines::settings::ProgressMode;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Builds and pushes container images with whichever engine this machine has.
#[derive(Debug, Parser)]
#[command(
    name = "boxwright",
    version,
    disable_help_subcommand = false,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 3 no usable engine, \
                  4 unsupported here, 5 unknown, 70 a bug, 130 interrupted."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One subcommand.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an image from a Dockerfile or an image specification
    Build(Box<BuildArgs>),
    /// Show what an image specification comes to
    Spec(SpecArgs),
    /// Push images to the registries in their names
    Push(PushArgs),
    /// Pull images from the registries in their names
    Pull(PullArgs),
    /// Ask a registry whether it has an image
    Exists(ExistsArgs),
    /// Ask a registry whether a cluster can pull an image, or you push it
    Check(CheckArgs),
    /// Give an image further names
    Tag(TagArgs),
    /// List the images that the engine has
    #[command(visible_alias = "list", alias = "ls")]
    Images(ImagesArgs),
    /// Show what an image is
    Inspect(InspectArgs),
    /// Show what two images have differently: what a container sees of their configs, and all files but the times
    Compare(CompareArgs),
    /// Remove images, or names of them
    #[command(visible_alias = "rmi", alias = "rm")]
    Remove(RemoveArgs),
    /// Run a command in an image, in a container that is removed afterwards
    Run(RunArgs),
    /// Show what Boxwright's own store takes
    Df(DfArgs),
    /// Remove what no named image needs from Boxwright's own store, and what is kept in engines for builds
    Prune(PruneArgs),
    /// Show every engine: ready, unusable and why, or absent
    Engines(EnginesArgs),
    /// Log in to a registry
    Login(LoginArgs),
    /// Log out of a registry
    Logout(LogoutArgs),
    /// Show every setting and where it comes from
    Config(ConfigArgs),
    /// Run every engine through the conformance suite, and report which promises it keeps
    Conformance(Box<boxwright_conformance::command::Arguments>),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Show the version
    Version(VersionArgs),
}

/// `boxwright engines`.
#[derive(Debug, Args)]
pub(crate) struct EnginesArgs {
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// `boxwright version`.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Which engine is used.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArgs {
    /// The engine to use, or `auto` [env: BOXWRIGHT_ENGINE]
    #[arg(long, value_name = "NAME")]
    pub(crate) engine: Option<String>,
    /// Where that engine is reached, such as `unix:///run/podman/podman.sock`
    #[arg(long, value_name = "URL", requires = "engine")]
    pub(crate) endpoint: Option<String>,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct FormatArgs {
    /// How the answer is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct ProgressArgs {
    /// How progress is shown
    #[arg(long, value_name = "MODE", value_enum)]
    pub(crate) progress: Option<Progress>,
    /// Show no progress; print the image's id alone
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// A live tree on a terminal, plain lines otherwise
    Auto,
    /// A live tree
    Tty,
    /// Plain lines
    Plain,
    /// One JSON object a line
    Json,
}

impl From<Progress> for ProgressMode {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Auto => Self::Auto,
            Progress::Tty => Self::Tty,
            Progress::Plain => Self::Plain,
            Progress::Json => Self::Json,
        }
    }
}

impl Command {
    /// Returns whether errors are to be JSON objects too.
    pub(crate) fn wants_json(&self) -> bool {
        let progress = match self {
            Self::Build(args) => args.progress.progress,
            Self::Push(args) => args.progress.progress,
            Self::Pull(args) => args.progress.progress,
            _ => None,
        };
        let format = match self {
            Self::Build(args) => args.explain.unwrap_or_default(),
            Self::Push(args) => args.format.format,
            Self::Pull(args) => args.format.format,
            Self::Exists(args) => args.format.format,
            Self::Check(args) => args.format.format,
            Self::Images(args) => args.format.format,
            Self::Inspect(args) => args.format.format,
            Self::Compare(args) => args.format.format,
            Self::Remove(args) => args.format.format,
            Self::Engines(args) => args.format.format,
            Self::Config(args) => args.format.format,
            Self::Version(args) => args.format.format,
            _ => Format::Text,
        };
        progress == Some(Progress::Json) || format == Format::Json
    }
}
