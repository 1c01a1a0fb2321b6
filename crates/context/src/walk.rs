//! Lists a context.

use boxwright_core::Result;

use crate::Entry;

/// Lists what the ignore rules leave of a context. See [`Context::walk`](crate::Context::walk).
#[derive(Debug)]
pub struct Walk(pub(crate) ());

impl Walk {
    /// Returns the sockets met so far: they are left out, since an image cannot hold one.
    #[must_use]
    pub fn sockets(&self) -> &[String] {
        &[]
    }
}

impl Iterator for Walk {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}
