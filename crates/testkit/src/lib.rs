//! What tests of several crates share: an engine and registries that need nothing installed.
//!
//! [`FakeEngine`] builds, keeps, pushes and runs images in this process, and breaks promises on order.
//! [`FakeRegistry`] is a registry on a loopback port, sound or failing on order; [`Registries`] are the
//! four kinds that the conformance suite asks for. [`FileServer`] serves what `ADD` downloads, [`InspectingProxy`] looks
//! into TLS, and behind a [`RegistryProxy`] registries here have the names of real ones. [`ContextFolder`] makes build contexts, [`snapshot`] hides what differs from run to run, and [`corpora`] finds
//! the cases of other builders.
//!
//! Nothing of it is ever part of the program.

mod base;
mod compression;
mod connect;
mod context_folder;
mod corpora;
mod fake_engine;
mod fake_registry;
mod file_server;
mod inspecting_proxy;
mod listening;
mod registries;
mod registry_proxy;
pub mod snapshot;

pub use compression::decompress;
pub use context_folder::ContextFolder;
pub use corpora::corpora;
pub use fake_engine::{Defect, FAKE, FakeEngine, FakeProvider};
pub use fake_registry::{Access, Answer, FakeRegistry, Fault, Moment};
pub use file_server::{FileServer, Page};
pub use inspecting_proxy::InspectingProxy;
pub use registries::{Registries, USER};
pub use registry_proxy::{Behind, RegistryProxy};
