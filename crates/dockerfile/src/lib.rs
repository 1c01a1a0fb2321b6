//! Reads a Dockerfile into a plan, with no input or output of its own.
//!
//! The language is what BuildKit's `docker/dockerfile:1` accepts. Everything here is a function from text to values: the
//! crate knows nothing of files, engines, registries or the environment, and it never stops at the first problem.
//!
//! Start reading at [`directive`] for the comments at the top of a file.

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
