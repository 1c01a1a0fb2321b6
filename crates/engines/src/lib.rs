//! The one list of engines, and the settings that choose among them and say where they are.
//!
//! Start reading at [`Settings::load`], which merges the user's file, the project's file and the
//! environment and remembers where each value came from, then [`catalog`], which makes of them a
//! [`Catalog`](boxwright_core::Catalog) to detect, choose and open engines with.
//!
//! No other crate of the workspace names an engine crate. Nothing here talks to an engine.

#[cfg(any(feature = "docker", feature = "podman"))]
mod composed;
pub mod explain;
mod list;
pub mod settings;
#[cfg(feature = "embedded")]
pub mod store;

pub use list::catalog;
pub use settings::Settings;
