#![doc = include_str!("../README.md")]

mod api;
mod archives;
mod auth;
mod buildkit;
mod capabilities;
mod classic;
mod config;
mod confinement;
mod contexts;
mod daemon;
mod endpoints;
mod engine;
mod errors;
mod events;
mod features;
mod ids;
mod images;
mod provider;
mod publish;
mod pull;
mod push;
mod registries;
mod run;
mod server;
mod transfers;

pub use config::{Builder, DockerConfig};
pub use engine::DockerEngine;
pub use provider::DockerProvider;
