//! Keys of the step cache.

use boxwright_image::manifest::digest_of;
use sha2::{Digest as _, Sha256};

/// Changes when a step comes to mean something else, so that results of older programs are not taken.
const VERSION: &str = "boxwright-step-2";

/// The digest of everything that decides what a step comes to. Fields cannot run into each other.
#[derive(Debug)]
pub(crate) struct Key(Sha256);

impl Key {
    /// Begins the key of a step that follows the one of `parent`.
    pub(crate) fn after(parent: &str) -> Self {
        let key = Self(Sha256::new());
        key.with(VERSION).with(parent)
    }

    /// Adds a field.
    pub(crate) fn with(mut self, field: impl AsRef<[u8]>) -> Self {
        self.add(field);
        self
    }

    /// Adds a field.
    pub(crate) fn add(&mut self, field: impl AsRef<[u8]>) {
        let field = field.as_ref();
        self.0.update((field.len() as u64).to_be_bytes());
        self.0.update(field);
    }

    /// Returns the key.
    pub(crate) fn finish(self) -> String {
        // One more round, so that a key is never the digest of a file.
        digest_of(&self.0.finalize()).hex().to_owned()
    }
}
