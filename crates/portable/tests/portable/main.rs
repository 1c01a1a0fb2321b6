//! The portable builder from outside.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with its place")]

mod bases;
mod bench;
mod build;
mod contexts;
mod copy;
mod fetch;
mod platforms;
mod run;
