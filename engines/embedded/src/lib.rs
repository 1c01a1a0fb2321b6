#![doc = include_str!("../README.md")]

mod build;
mod capabilities;
mod config;
mod engine;
mod provider;
mod run;
mod tried;
mod worker;

pub use boxwright_worker_program::{LocalWorker, StorePart, StorePruned, StorePruning, StoreUsage};
pub use config::EmbeddedConfig;
pub use engine::EmbeddedEngine;
pub use provider::EmbeddedProvider;
pub use worker::keeper;
