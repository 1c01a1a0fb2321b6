//! Layers as folders that a file system stacks up.

mod folder;
mod unpack;

use std::path::PathBuf;

pub use unpack::unpack_layer;

/// How a folder that holds one layer says what it hides of the layers below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// As overlayfs has it: a device 0:0 hides a name, `trusted.overlay.opaque` what is in a folder.
    Trusted,
    /// As overlayfs has it when it is mounted with `userxattr`: the attribute is `user.overlay.opaque`.
    User,
    /// As layers have it: files with the names `.wh.NAME` and `.wh..wh..opq`. For copying, not for overlayfs.
    Names,
}

impl Marks {
    /// Returns the attribute of a folder that shows nothing of what is below it.
    #[must_use]
    pub fn opaque_attribute(self) -> Option<&'static str> {
        match self {
            Self::Trusted => Some("trusted.overlay.opaque"),
            Self::User => Some("user.overlay.opaque"),
            Self::Names => None,
        }
    }
}

/// Whether the files of a folder can belong to whom the image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// They do.
    Real,
    /// All of them belong to one user, since no other ids are to be had; whom the image says is kept in the
    /// attribute [`OWNER_ATTRIBUTE`] of files and folders.
    Noted,
}

/// Where [`Owners::Noted`] keeps an owner, as `UID:GID`.
pub const OWNER_ATTRIBUTE: &str = "user.boxwright.owner";

/// What a folder that holds one layer cannot say itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Whether the layer describes the root. If not, the root is as the layers below have it.
    pub has_root: bool,
    /// Whether it hides everything of the layers below.
    pub opaque_root: bool,
    /// Folders that it puts something into and does not describe: they are as the layers below have them.
    pub implied: Vec<PathBuf>,
    /// Further names that it gives to files of the layers below, each with the name that the file has there.
    pub lower_links: Vec<(PathBuf, PathBuf)>,
    /// How many bytes its files have.
    pub size: u64,
}
