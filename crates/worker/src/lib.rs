//! Runs `RUN` steps: each in namespaces of its own, on layers that are unpacked once and stacked up.
//!
//! [`WorkerStore`] holds the layers, [`run_step`] runs one step on them and leaves what it changed as
//! a canonical layer. Both block. Nothing here knows an engine, a registry or a Dockerfile.

mod cancel;
mod failure;
mod input;
mod mount;
mod remove;
mod sandbox;
mod store;
mod syscalls;

pub use cancel::Cancel;
pub use input::{DefaultNetwork, StepEvent, StepInput};
pub use sandbox::run_step;
pub use store::WorkerStore;
