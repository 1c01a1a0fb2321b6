//! Everything Boxwright says to image registries: pull, push, and questions, with the user's
//! credentials.
//!
//! Start reading at [`Client`] and [`StoredCredentials`]; [`login`] and [`logout`] change what is
//! stored. The crate knows registries and nothing of engines: blobs come from and go to a
//! [`BlobStore`](boxwright_core::BlobStore), whatever that is.
//!
//! What it promises, by the number of the threat it answers:
//!
//! - a credential belongs to one registry and never follows a redirect elsewhere (25), and a token
//!   is asked for over https only, except between loopback addresses (26);
//! - every byte is counted and hashed against the digest it was asked for by (29);
//! - plain HTTP is spoken with loopback addresses and where the user's own settings say so, nowhere
//!   else (31);
//! - an answer that is not one is an error that says so: existence is yes, no, or unknown (30).

mod advice;
mod auth;
mod check;
mod client;
mod create;
mod credentials;
mod digester;
mod document;
mod download;
mod endpoint;
mod existence;
mod failure;
mod http;
pub mod login;
mod progress;
mod pull;
mod push;
mod resolve;
mod retries;
mod upload;
mod web;

pub use check::Pullable;
pub use client::{Client, Existence, Resolved};
pub use create::create_repository;
pub use credentials::{LogoutOutput, StoredCredentials, logout, registry_of_user};
pub use retries::Retries;
pub use web::{WebFile, WebVersion};
