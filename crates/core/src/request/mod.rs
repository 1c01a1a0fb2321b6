//! What is asked of an engine, and what it answers: plain values, loggable and comparable.

mod build;
mod image;
mod transfer;

pub use build::{
    BuildOutput, BuildRequest, CacheUse, ContextSource, DockerfileSource, ExtraHost, HostAddress,
    ImageFormat, NamedContext, NetworkMode, NextUse, PlatformImage, PullPolicy,
};
pub use image::{
    ImageDetails, ImageSummary, PruneOutput, RemoveOutput, RemoveRequest, RunOutput, RunRequest,
};
pub use transfer::{
    ArchiveFormat, ExportRequest, ImportOutput, ImportRequest, PullOutput, PullRequest, PushOutput,
    PushRequest,
};
