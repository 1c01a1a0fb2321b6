//! Canonical layers: the same files give the same bytes, whoever writes them.
//!
//! The format is written down in `docs/reference/layer-format.md`; the tests here hold it to that.

mod canonical;
mod read;
mod sink;
mod writer;

use boxwright_core::{Descriptor, Digest, Manifest};

pub use canonical::{canonical_header, kept_xattrs};
pub use read::{EachFile, add_layer, read_files};
pub use writer::{CanonicalWriter, EndedLayer, LayerWriter};

/// A layer that was written into a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLayer {
    /// The blob, as an OCI layer that is not compressed.
    pub descriptor: Descriptor,
    /// The digest of the tar, which is the blob's too.
    pub diff_id: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// Returns a manifest that stands for `layers` alone: it has no config, and is kept nowhere.
#[must_use]
pub fn chain(layers: &[(Descriptor, Digest)]) -> Manifest {
    let nothing = |media_type: &str| Descriptor {
        media_type: media_type.to_owned(),
        digest: crate::manifest::digest_of(b""),
        size: 0,
    };
    Manifest {
        descriptor: nothing(crate::manifest::media_type::OCI_MANIFEST),
        config: nothing(crate::manifest::media_type::OCI_CONFIG),
        layers: layers.to_vec(),
    }
}
