//! The build context: a folder, what of it counts, and how it is sent.
//!
//! [`Context::open`] finds the Dockerfile and the ignore file that applies, [`Context::walk`] lists
//! what is included in a stable order, and [`Context::tar`] streams it. Nothing outside the folder
//! is ever read through a link in it.
//!
//! This crate knows no Dockerfile instruction and no engine.

mod context;
mod dockerfile;
mod entry;
pub mod ignore;
mod opener;
mod root;
mod tar;
mod walk;
mod xattr;

pub use context::Context;
pub use entry::{Entry, EntryKind, HardLink};
pub use opener::{Opened, Opener, Stamp};
pub use tar::{ContextTar, TarOptions, Xattrs};
pub use walk::Walk;
