#![doc = include_str!("../README.md")]

mod api;
mod archive;
mod auth;
mod autostart;
mod bases;
mod build;
mod capabilities;
mod config;
mod context;
mod endpoints;
mod engine;
mod errors;
mod events;
mod images;
mod interrupt;
mod options;
mod provider;
mod publish;
mod push;
mod query;
mod run;
mod tags;
mod upload;
mod wire;

pub use config::PodmanConfig;
pub use engine::PodmanEngine;
pub use provider::PodmanProvider;
