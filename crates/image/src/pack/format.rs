//! How packed layers are compressed.

use std::fmt;

use crate::manifest::media_type as types;

/// The compression of packed layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PackFormat {
    /// Gzip, which everything reads.
    #[default]
    Gzip,
    /// Zstd: smaller and faster, for Docker from 23 and containerd from 1.5 on. Its images are always the OCI's,
    /// since Docker's manifests have no name for it.
    Zstd,
}

impl PackFormat {
    pub(super) const ALL: [Self; 2] = [Self::Gzip, Self::Zstd];

    /// The media type of a layer, as the OCI has it.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => types::OCI_LAYER_GZIP,
            Self::Zstd => types::OCI_LAYER_ZSTD,
        }
    }

    /// The name of compressor, level and blocks: another one stands for other bytes.
    pub(super) fn recipe(self) -> &'static str {
        match self {
            Self::Gzip => "gzip-libdeflate-3",
            Self::Zstd => "zstd-3",
        }
    }
}

impl fmt::Display for PackFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}
