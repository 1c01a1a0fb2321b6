//! Reads a Dockerfile into a plan, with no input or output of its own.
//!
//! The language is what BuildKit's `docker/dockerfile:1` accepts. Everything here is a function from text to values: the
//! crate knows nothing of files, engines, registries or the environment, and it does not stop at the first problem.
//! What it refuses, it refuses with a place and a remedy; whatever it is given, it ends in time and memory in
//! proportion.
//!
//! ```text
//! text ── lexer ── parser ── instruction ── file ── plan ── steps
//!         lines    words     one type       stages  graph   expanded, with the config of the base
//! ```
//!
//! Start reading at [`plan`]. [`directive`] stands alone: it finds and takes out the line that makes an engine fetch a
//! frontend. [`features`] says what a file needs of a builder.

pub mod diagnostic;
pub mod directive;
pub mod expand;
pub mod features;
mod file;
mod fragment;
pub mod git;
pub mod heredoc;
pub mod instruction;
mod lexer;
mod line;
mod nearest;
pub mod parser;
mod path;
pub mod plan;

pub use file::{Dockerfile, StageText};
pub use fragment::Word;
