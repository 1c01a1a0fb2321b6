//! Image specifications: named packages, files and settings instead of a Dockerfile.
//!
//! The fields and what they mean are those of Flyte's `ImageSpec`. [`SpecFile::read`] takes YAML, TOML and JSON and tells
//! every problem at once; [`render`] makes a Dockerfile, the files of its context, and a tag of them.
//!
//! Values are data: whatever they hold, they never become another instruction. Commands and arguments stand in a
//! Dockerfile as JSON, names of files not at all.
//!
//! The crate knows no engine and no registry. It reads the files that a specification names, and nothing outside the
//! folder that the specification is in but secrets. What git ignores is asked of the program `git`.

mod check;
mod dockerfile;
mod file;
mod files;
mod git;
mod model;
mod problem;
mod python;
mod render;
mod requirements;
mod value;
mod words;
mod yaml;

pub use file::SpecFile;
pub use files::{ContextFile, FileContent};
pub use model::{Base, BuilderConfig, BuilderOptions, CopyMode, ImageSpec, schema};
pub use problem::Problem;
pub use render::{Images, Rendered, render};
