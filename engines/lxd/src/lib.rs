#![doc = include_str!("../README.md")]

mod api;
mod capabilities;
mod config;
mod endpoints;
mod engine;
mod errors;
mod provider;
mod remotes;
mod surroundings;

pub use config::LxdConfig;
pub use engine::LxdEngine;
pub use provider::LxdProvider;
