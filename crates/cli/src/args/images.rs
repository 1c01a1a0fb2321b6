//! `boxwright images`, `inspect`, `tag` and `remove`.

use clap::Args;

use super::{EngineArgs, FormatArgs};

/// `boxwright images`.
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    /// Only images of this name; without a tag, all its tags
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Print the ids alone
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// `boxwright inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The image: a name, an id, or at least twelve digits of an id
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// Of an index, the image to tell of [default: this machine's, or else the first]
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// `boxwright tag`.
#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    /// The image: a name, an id, or at least twelve digits of an id
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// The names it gets; one that points elsewhere moves
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// `boxwright remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The images: a name loses that name, and the image with its last one; an id loses the image
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,
    /// Remove an id even if it has several names or a stopped container uses it
    #[arg(long, short)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}
