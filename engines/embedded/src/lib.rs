#![doc = include_str!("../README.md")]

mod archive;
mod build;
mod capabilities;
mod config;
mod engine;
mod images;
mod place;
mod provider;
mod transfer;

pub use config::EmbeddedConfig;
pub use engine::EmbeddedEngine;
pub use provider::EmbeddedProvider;
