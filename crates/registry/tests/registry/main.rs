//! The client against registries of this process, which behave well or badly on order.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with its place")]
#![expect(unreachable_pub, reason = "the modules of a test are all one program")]

mod authorization;
mod check;
mod credentials;
mod existence;
mod growing;
mod helpers;
mod login;
mod proxy;
mod pulling;
mod pushing;
mod server;
mod setup;
mod tls;
mod trouble;
mod vendors;
