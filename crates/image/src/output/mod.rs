//! The file system of an image, as a tar or a folder.

mod content;
mod file;
mod folder;
mod tar;

use std::path::Path;

use boxwright_core::{ByteStream, Manifest, Result};

use crate::layout::Layout;
use crate::pipe::{PipeStream, PipeWriter, blocking};
use crate::view::Tree;

pub use file::check_file;
pub(crate) use file::replace_file;
pub use tar::Frame;

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
/// [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when `destination` is something
/// else than a regular file, [`ErrorKind::Exhausted`](boxwright_core::ErrorKind::Exhausted) when the disk is
/// full, else as [`Tree::from_layers`].
pub async fn write_tar(layout: &Layout, manifest: &Manifest, destination: &Path) -> Result<()> {
    let (layout, manifest) = (layout.clone(), manifest.clone());
    let destination = destination.to_owned();
    blocking(move || {
        let tree = Tree::read_layers(&layout, &manifest)?;
        replace_file(&destination, |out| {
            tar::write(&tree, &layout, &manifest, &Frame::default(), out)
        })
    })
    .await
}

/// Returns the file system of an image, whose layers stack up to `tree`, as a part of one tar, as `frame` says. It is read
/// while the stream is; an error of the layout is an error of the stream.
#[must_use]
pub fn tar_stream(tree: Tree, layout: &Layout, manifest: &Manifest, frame: Frame) -> ByteStream {
    let (layout, manifest) = (layout.clone(), manifest.clone());
    let write = move |out: &mut PipeWriter| tar::write(&tree, &layout, &manifest, &frame, out);
    Box::new(PipeStream::new(write))
}

/// Writes the file system of an image into the folder `destination`, which is made if it is missing. What is
/// there already stays, unless the image has something of the same name. Nothing is written through a link.
///
/// # Errors
///
/// As [`write_tar`]; [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) also when a device
/// or an owner takes more rights than this user has.
pub async fn write_folder(
    layout: &Layout,
    manifest: &Manifest,
    destination: &Path,
    ownership: Ownership,
) -> Result<()> {
    let (layout, manifest) = (layout.clone(), manifest.clone());
    let destination = destination.to_owned();
    blocking(move || {
        let tree = Tree::read_layers(&layout, &manifest)?;
        folder::write(&tree, &layout, &manifest, &destination, ownership)
    })
    .await
}
