#![doc = include_str!("../README.md")]

mod api;
mod archive;
mod blobs;
mod build;
mod capabilities;
mod config;
mod container;
mod documents;
mod endpoints;
mod engine;
mod errors;
mod images;
mod labels;
mod lease;
mod pipes;
mod place;
mod provider;
mod prune;
mod records;
mod run;
mod store;
mod sweep;
mod transfers;
mod unpack;
mod users;
mod worker;

pub use config::ContainerdConfig;
pub use engine::ContainerdEngine;
pub use provider::ContainerdProvider;
