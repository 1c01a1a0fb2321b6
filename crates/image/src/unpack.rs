//! Unpacks: every tar in the workspace goes through the one reader, every layer through one writer.

use std::path::Path;

use boxwright_core::{Manifest, Result};

use crate::layout::Layout;
use crate::output::{self, Ownership};

pub use crate::tar::{Limits, Reader};
pub use crate::unpack_context::unpack_context;

/// Unpacks the layers of an image into the folder `destination`, with the owners they have in the image.
///
/// # Errors
///
/// As [`output::write_folder`].
pub async fn unpack_layers(layout: &Layout, manifest: &Manifest, destination: &Path) -> Result<()> {
    output::write_folder(layout, manifest, destination, Ownership::Image).await
}
