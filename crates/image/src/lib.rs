//! Images as files: blobs, manifests, configs, layers and archives.
//!
//! [`layout::Layout`] keeps blobs by digest, [`archive`] reads and writes what engines load and
//! save, [`view::Tree`] is a file system read from layers, and [`unpack::Reader`] is the only
//! reader of tars in the workspace. Everything read here is taken for hostile.
//!
//! This crate knows no engine, no registry and no Dockerfile.

pub mod archive;
pub mod compare;
pub mod config;
pub mod decompress;
mod document;
mod elf;
mod index;
pub mod layer;
pub mod layout;
mod lock;
pub mod manifest;
pub mod output;
pub mod overlay;
pub mod pack;
pub mod pipe;
pub mod program;
pub mod tar;
pub mod timestamp;
pub mod unpack;
mod unpack_context;
pub mod upkeep;
mod verify;
pub mod view;

pub use verify::verified;

/// Returns the error of a failed read. What a reader of ours put inside comes out again.
#[must_use]
pub fn read_error(error: std::io::Error) -> boxwright_core::Error {
    use boxwright_core::{Error, ErrorKind};
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Error::new(ErrorKind::Protocol, "cannot read the archive").with_source(error)
        }
        Err(error) => Error::new(ErrorKind::Unavailable, "cannot read").with_source(error),
    }
}

/// Returns the error of a failed write of an archive. What a reader of ours put inside comes out again.
pub(crate) fn write_error(error: std::io::Error) -> boxwright_core::Error {
    use std::io::ErrorKind as Io;

    use boxwright_core::{Error, ErrorKind};
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => {
            let kind = match error.kind() {
                Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::Exhausted,
                // Nobody reads any more, and the reason is with them.
                Io::BrokenPipe => ErrorKind::Cancelled,
                _ => ErrorKind::Unavailable,
            };
            Error::new(kind, "cannot write the archive").with_source(error)
        }
    }
}
