//! The contract of Boxwright: what an engine is, what is asked of it, and what it answers.
//!
//! Start reading at [`Engine`], then [`BuildRequest`] and [`Session`]: a request is plain data, and
//! what lives during a call travels beside it. [`Catalog`] finds and opens engines;
//! [`Checked`] stands between every caller and every engine.
//!
//! This crate knows no engine, no wire format, and no archive. It depends on no other crate of the
//! workspace, and every other one depends on it.

mod ca_bundle;
mod capability;
mod catalog;
mod checked;
pub mod confinement;
mod digest;
mod engine;
mod engine_ext;
mod error;
mod event;
mod feature;
mod host;
mod image_ref;
pub mod labels;
mod maker;
mod names;
mod platform;
mod program;
mod program_group;
mod provider;
mod registry_settings;
mod request;
mod secret;
mod session;
mod step;
mod store;

pub use async_trait::async_trait;
pub use tokio_util::sync::CancellationToken;

pub use ca_bundle::CaBundle;
pub use capability::{Capabilities, Capability, Support};
pub use catalog::{Catalog, Choice, Origin, Selection, Survey};
pub use checked::Checked;
pub use digest::Digest;
pub use engine::{Engine, EngineInfo, EngineName};
pub use engine_ext::{BuildStream, EngineExt};
pub use error::{Error, ErrorKind, Operation, Result};
pub use event::{Event, EventSink, OutputStream, StepId, StepResult};
pub use feature::Feature;
pub use host::Host;
pub use image_ref::{DOCKER_HUB, ImageRef, LocalImage};
pub use maker::{Maker, is_left, own_labels};
pub use names::nearest;
pub use platform::Platform;
pub use program::{Program, ProgramOutput};
pub use program_group::{Pipes, ProgramGroup};
pub use provider::{Detection, EngineProvider, Instance};
pub use registry_settings::{RegistrySetting, RegistrySettings};
pub use request::{
    ArchiveFormat, BuildOutput, BuildRequest, CacheUse, ContextSource, DockerfileSource,
    ExportRequest, ExtraHost, HostAddress, ImageDetails, ImageFormat, ImageSummary, ImportOutput,
    ImportRequest, NamedContext, NetworkMode, NextUse, PlatformImage, PruneOutput, PullOutput,
    PullPolicy, PullRequest, PushOutput, PushRequest, RemoveOutput, RemoveRequest, RunOutput,
    RunRequest,
};
pub use secret::Secret;
pub use session::{Anonymous, ByteStream, Credential, Credentials, Session};
pub use step::{
    CacheSharing, LayerChain, LayerRef, MountAccess, MountSource, Step, StepLayer, StepMount,
    StepOutcome, StepRunner,
};
pub use store::{BlobStore, Descriptor, ImageStore, Index, Manifest};
