//! A build context in a temporary folder.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A build context in a temporary folder, which goes when this is dropped.
#[derive(Debug)]
pub struct ContextFolder(tempfile::TempDir);

impl ContextFolder {
    /// Makes an empty folder.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn new() -> io::Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix("boxwright-context-").tempdir()?))
    }

    /// Makes a folder with nothing but this Dockerfile.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn with_dockerfile(text: &str) -> io::Result<Self> {
        Self::new()?.file("Dockerfile", 0o644, text)
    }

    /// Returns where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn inside(&self, path: &str) -> io::Result<PathBuf> {
        let path = self.0.path().join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(path)
    }

    /// Adds a file, and the folders above it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn file(self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> io::Result<Self> {
        let file = self.inside(path)?;
        std::fs::write(&file, content)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))?;
        Ok(self)
    }

    /// Adds a symbolic link, and the folders above it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn symlink(self, path: &str, target: &str) -> io::Result<Self> {
        std::os::unix::fs::symlink(target, self.inside(path)?)?;
        Ok(self)
    }
}
