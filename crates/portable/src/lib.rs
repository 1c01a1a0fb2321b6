//! Builds images from Dockerfiles with no engine.
//!
//! [`Builder`] takes what an engine takes, a [`BuildRequest`](boxwright_core::BuildRequest) and a
//! [`Session`](boxwright_core::Session), and keeps the image in its [`Store`]. Files are copied on a view of
//! the file system that is read from layers, and become layers of one written form
//! (`docs/reference/layer-format.md`); so the same files give the same digests everywhere.
//!
//! ```text
//! plan ── stage ── select ── arrange ── draft ── layer ── pack
//!                  what is   where it   its      hashed   compressed
//!                  copied    goes       entries  once     when needed
//! ```
//!
//! This crate knows no engine, and starts no process: the command of a `RUN` is a [`Step`](boxwright_core::Step) for
//! the [`StepRunner`](boxwright_core::StepRunner) that the caller brings. Without one, `RUN` is refused as unsupported.
//! Start reading at [`Builder::build`].

mod archive;
mod arrange;
mod base;
mod bound;
mod build;
mod builder;
mod config;
mod draft;
mod engine_images;
mod facts;
mod fetch;
mod files;
mod fit;
mod foreign;
mod frontend;
mod git;
mod glob;
mod graph;
mod images;
mod indexes;
mod key;
pub mod local;
mod memory;
mod mode;
mod mounts;
mod named;
pub mod negotiate;
mod origin;
mod owner;
mod portable;
mod probe;
mod publish;
mod push;
mod read;
mod relay;
mod run;
mod search;
mod select;
mod stage;
mod store;
pub mod support;
mod time;
mod upkeep;

pub use base::Bases;
pub use builder::{BUILDER, Builder};
pub use images::StoredImage;
pub use portable::{Portable, Way};
pub use store::Store;
pub use upkeep::{Part, Pruned, Pruning, Scope, Usage};

/// Runs blocking `work` in a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> boxwright_core::Result<T> + Send + 'static,
) -> boxwright_core::Result<T> {
    use boxwright_core::{Error, ErrorKind};
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Bug, "a thread of the build panicked").with_source(error))
    })
}
