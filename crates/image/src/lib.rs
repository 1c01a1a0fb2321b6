//! Images as files: blobs, manifests, configs, layers and archives.
//!
//! [`layout::Layout`] keeps blobs by digest, [`archive`] reads and writes what engines load and
//! save, [`view::Tree`] is a file system read from layers, and [`unpack::Reader`] is the only
//! reader of tars in the workspace. Everything read here is taken for hostile.
//!
//! This crate knows no engine, no registry and no Dockerfile.

pub mod archive;
pub mod config;
mod document;
pub mod layout;
pub mod manifest;
pub mod output;
pub mod unpack;
pub mod view;
