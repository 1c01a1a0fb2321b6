//! Runs steps in a container of an engine that speaks Docker's API: Docker itself, and Podman.
//!
//! [`ContainerWorker`] is a [`StepRunner`](boxwright_core::StepRunner). Its container holds the worker's program and nothing
//! else, runs nothing by itself, and ends when nobody has used it for a while; a volume keeps the layers for the next
//! one. Each build has a process of its own in it, which ends with the connection.
//!
//! Nothing is attached to process 1: what is sent there lands in the engine's log, and another client may get it.
//!
//! [`prune`] removes all of it, and the containers of `run` that a killed process left.

mod api;
mod frames;
mod image;
mod leftovers;
mod worker;

pub use leftovers::{prune, sweep_at_start};
pub use worker::ContainerWorker;
