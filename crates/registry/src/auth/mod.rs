//! How a request is authorized: what a registry asks for, and what it is given.

mod access;
mod challenge;
mod token;

pub(crate) use access::{Access, Action};
pub(crate) use challenge::Challenge;
pub(crate) use token::{Token, TokenRequest, basic, fetch};
