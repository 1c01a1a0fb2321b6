//! The one reader of archives: every tar in the workspace goes through it.

pub use crate::tar::{Limits, Reader};
