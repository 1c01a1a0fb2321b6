#![doc = include_str!("../README.md")]

mod address;
mod api;
mod capabilities;
mod config;
mod endpoints;
mod engine;
mod errors;
mod instance_image;
mod provider;
mod prune;
mod publish;
mod remotes;
mod runner;
mod surroundings;
mod worker;
mod worker_image;

pub use config::LxdConfig;
pub use engine::LxdEngine;
pub use provider::LxdProvider;
