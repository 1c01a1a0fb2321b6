//! The file system of an image, as a tar or a folder.

mod file;

use std::path::Path;

use boxwright_core::{Error, ErrorKind, Manifest, Result};

use crate::layout::Layout;

pub use file::check_file;
pub(crate) use file::replace_file;

/// Who owns what is written to a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// Whoever runs this.
    #[default]
    Caller,
    /// As in the image, which takes root.
    Image,
}

/// Writes the file system of an image as one tar to the file `destination`: beside it first, then renamed.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when `destination` is something else than a regular file,
/// [`ErrorKind::Exhausted`] when the disk is full, else as [`Tree::from_layers`](crate::view::Tree::from_layers).
pub async fn write_tar(layout: &Layout, manifest: &Manifest, destination: &Path) -> Result<()> {
    let _ = (layout, manifest, destination);
    Err(Error::new(ErrorKind::Bug, "outputs are being written"))
}

/// Writes the file system of an image into the folder `destination`, which is made if it is missing. What is
/// there already stays, unless the image has something of the same name.
///
/// # Errors
///
/// As [`write_tar`].
pub async fn write_folder(
    layout: &Layout,
    manifest: &Manifest,
    destination: &Path,
    ownership: Ownership,
) -> Result<()> {
    let _ = (layout, manifest, destination, ownership);
    Err(Error::new(ErrorKind::Bug, "outputs are being written"))
}
