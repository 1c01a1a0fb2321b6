//! Runs `RUN` steps: each in namespaces of its own, on layers that are unpacked once and stacked up.
//!
//! [`WorkerStore`] holds the layers, [`run_step`] runs one step on them and leaves what it changed as
//! a canonical layer. Both block. [`run`] is the program `boxwright-worker`, which serves both on a stream of
//! bytes, and [`WorkerClient`] has it do so from the other end, wherever that is. Nothing here knows an engine,
//! a registry or a Dockerfile.

mod cancel;
mod canonical;
mod carry;
mod chunk;
mod client;
mod copy;
mod execute;
mod failure;
mod init;
mod input;
mod instance;
mod mount;
mod program;
mod protocol;
mod remove;
mod sandbox;
mod seccomp;
mod serve;
mod stdio;
mod store;
mod syscalls;
#[cfg(test)]
mod tests;
mod user;
pub mod userns;

pub use cancel::Cancel;
pub use client::{WorkerClient, WorkerFacts};
pub use input::{DefaultNetwork, StepEvent, StepInput};
pub use program::run;
pub use protocol::PROTOCOL;
pub use sandbox::{SANDBOX_ARGUMENT, run_step, sandbox_main};
pub use store::{
    StorePart, StorePruned, StorePruning, StoreUsage, WorkerStore, prune_store, store_usage,
};
