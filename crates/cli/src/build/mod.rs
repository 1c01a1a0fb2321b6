//! What a build needs, made of flags and files before anything starts.

mod ca_bundle;
mod context;
mod destination;
mod files;
mod output;
mod request;
mod secret;
mod value;

pub(crate) use files::ResultFiles;
pub(crate) use output::{Outputs, write_outputs};
pub(crate) use request::{Prepared, prepare};
pub(crate) use secret::from_file as secret_of_file;
pub(crate) use value::size;
