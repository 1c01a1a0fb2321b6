//! HTTP/1.1 to container engines: over unix sockets, TCP, TLS, and the standard streams of `ssh`.
//!
//! Bodies stream in both directions, so memory stays flat whatever is sent. Each request has a
//! connection of its own: engines answer some requests for minutes, take a closed connection
//! for a cancel, and may close early while a context is still being sent.
//!
//! This crate knows no engine: paths, JSON and the meaning of a status belong to the engine crates.
//! Start reading at [`Endpoint`], then [`Client`].

mod body;
mod client;
mod connection;
mod endpoint;
mod failure;
mod lines;
mod slot;
mod ssh;
mod tls;
mod tolerant;
mod unix;

pub use body::{Body, read_to_end};
pub use client::{Client, HeldBody};
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use http;
pub use hyper::body::Incoming;
pub use lines::{Lines, lines};
