//! HTTP to one host: which scheme, which certificates, which proxy, and what went wrong.

mod answer;
mod certificates;
mod date;
mod network;
mod request;
mod tls;
mod transport;
mod trouble;

pub(crate) use answer::{Answerer, is_html, read_bytes, refusal};
pub(crate) use date::parse as parse_date;
pub(crate) use request::{Body, Request};
pub(crate) use transport::{Transport, authority, is_loopback, is_same_origin};
