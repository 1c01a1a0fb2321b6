//! A context as a tar stream.

use std::io;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// How a context is made a tar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TarOptions {
    /// The text that the builder is to read in place of the Dockerfile's own. The context's own
    /// file stays as it is; the text goes under a name of its own.
    pub dockerfile_text: Option<String>,
    /// Which extended attributes go along.
    pub xattrs: Xattrs,
}

/// Which extended attributes go along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Xattrs {
    /// `security.capability` alone, as Docker's own client has it.
    #[default]
    Capability,
    /// All that can be read.
    All,
    /// None, which saves a look at every file.
    None,
}

/// A context as a tar stream: read it to its end, or drop it.
#[derive(Debug)]
pub struct ContextTar(pub(crate) ());

impl ContextTar {
    /// Returns the name that the Dockerfile has in the tar.
    #[must_use]
    pub fn dockerfile_name(&self) -> &str {
        ""
    }
}

impl AsyncRead for ContextTar {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
