//! The program as a process: what goes in, and all that comes out.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test with its place")]

mod bad_input;
mod build;
mod check;
mod compare;
mod create_repository;
mod daemons;
mod full_disk;
mod guides;
mod harness;
mod images;
mod outputs;
mod python;
mod settings;
mod signals;
mod spec;
mod store;
mod transfer;
mod usage;
mod vendor;
