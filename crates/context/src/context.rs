//! A folder that is built from.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_core::{DockerfileSource, Error, ErrorKind, Result};

use crate::{ContextTar, Entry, TarOptions, Walk};

/// A folder that is built from, with its Dockerfile and its ignore rules read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) folder: PathBuf,
}

impl Context {
    /// Opens the folder `folder`, finds and reads the Dockerfile and the ignore file that applies.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when folder or Dockerfile are not there.
    pub fn open(folder: &Path, dockerfile: &DockerfileSource) -> Result<Self> {
        let _ = (folder, dockerfile);
        Err(unwritten())
    }
    /// Returns the folder as it was given.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }
    /// Returns the text of the Dockerfile.
    #[must_use]
    pub fn dockerfile_text(&self) -> &str {
        ""
    }
    /// Returns the Dockerfile's path inside the context; of one outside, its file name.
    #[must_use]
    pub fn dockerfile_name(&self) -> &str {
        ""
    }
    /// Returns whether the Dockerfile is a file of the context.
    #[must_use]
    pub fn dockerfile_is_inside(&self) -> bool {
        true
    }
    /// Returns the cleaned patterns of the ignore file that applies, in its order.
    #[must_use]
    pub fn exclude_patterns(&self) -> &[String] {
        &[]
    }
    /// Lists what the ignore rules leave, depth first, each folder's names in the order of their bytes.
    #[must_use]
    pub fn walk(&self) -> Walk {
        Walk(())
    }
    /// Opens a regular file of the context.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when it is gone or no regular file any more.
    pub fn open_file(&self, entry: &Entry) -> Result<File> {
        let _ = entry;
        Err(unwritten())
    }
    /// Reads the extended attributes of an entry, sorted by name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when it is gone.
    pub fn xattrs(&self, entry: &Entry) -> Result<Vec<(String, Vec<u8>)>> {
        let _ = entry;
        Err(unwritten())
    }
    /// Returns the context as a tar stream, as the classic builder and libpod take it. Owners are
    /// 0:0, links stay links. The Dockerfile and the ignore files are in it even when they are
    /// excluded, since the builder needs them.
    #[must_use]
    pub fn tar(&self, options: TarOptions) -> ContextTar {
        let _ = options;
        ContextTar(())
    }
}

fn unwritten() -> Error {
    Error::new(ErrorKind::Bug, "the context is being written")
}
