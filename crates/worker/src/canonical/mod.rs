//! Makes what a step changed canonical, in place, and writes it as a layer.
//!
//! What is left depends on nothing but the files before and after the step: not on how they came about, and
//! not on how layers are stacked up here. The next step stacks on the very folder that the layer is written
//! from, so it sees what unpacking the layer gives. The format is `docs/reference/layer-format.md`.

mod entry;
mod lower;
mod reduce;
mod write;

pub(crate) use entry::{Entry, names, set_attributes};
pub(crate) use lower::{Found, Lower};
pub(crate) use reduce::{Reduce, Start};
pub(crate) use write::{digest, write_tar};
