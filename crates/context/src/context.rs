//! A folder that is built from.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_core::{DockerfileSource, Error, ErrorKind, Result};

use crate::dockerfile::{Dockerfile, IgnoreFile, Place};
use crate::entry::EntryKind;
use crate::ignore::Rules;
use crate::root::Root;
use crate::{ContextTar, Entry, Opener, TarOptions, Walk, xattr};

/// A folder that is built from, with its Dockerfile and its ignore rules read. Cheap to clone.
///
/// Its methods block for as long as the file system takes, except [`Context::tar`].
#[derive(Clone, Debug)]
pub struct Context(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) folder: PathBuf,
    pub(crate) root: Root,
    pub(crate) dockerfile: Dockerfile,
    pub(crate) ignore_file: Option<IgnoreFile>,
    pub(crate) rules: Arc<Rules>,
}

impl Context {
    /// Opens the folder `folder`, and finds and reads the Dockerfile and the ignore file that applies.
    ///
    /// A relative path of a Dockerfile is resolved inside the folder: a link that leads out of it finds
    /// nothing. An absolute path may be outside. The ignore file is `NAME.dockerignore` beside the
    /// Dockerfile `NAME`, else `.containerignore`, else `.dockerignore` in the folder.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when folder or Dockerfile are not there, [`ErrorKind::InvalidInput`] when
    /// one cannot be read or an ignore pattern is none, [`ErrorKind::Exhausted`] above 10 MiB.
    pub fn open(folder: &Path, dockerfile: &DockerfileSource) -> Result<Self> {
        let root = Root::open(folder).map_err(|error| cannot_open(folder, error))?;
        let dockerfile = Dockerfile::find(&root, folder, dockerfile)?;
        let ignore_file = IgnoreFile::find(&root, &dockerfile)?;
        let rules = match &ignore_file {
            Some(file) => Rules::new(&file.patterns)
                .map_err(|error| error.with_context("file", file.name.as_str()))?,
            None => Rules::new::<&str>(&[])?,
        };
        let (folder, rules) = (folder.to_owned(), Arc::new(rules));
        Ok(Self(Arc::new(Inner { folder, root, dockerfile, ignore_file, rules })))
    }

    /// Opens the folder `folder` with all that is in it, whatever ignore files it has. It has no Dockerfile.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when it is not there, [`ErrorKind::InvalidInput`] when it cannot be read.
    pub fn open_whole(folder: &Path) -> Result<Self> {
        let root = Root::open(folder).map_err(|error| cannot_open(folder, error))?;
        let dockerfile = Dockerfile::find(&root, folder, &DockerfileSource::Text(String::new()))?;
        let rules = Arc::new(Rules::new::<&str>(&[])?);
        let folder = folder.to_owned();
        Ok(Self(Arc::new(Inner { folder, root, dockerfile, ignore_file: None, rules })))
    }

    /// Returns the folder as it was given.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Returns the text of the Dockerfile.
    #[must_use]
    pub fn dockerfile_text(&self) -> &str {
        &self.0.dockerfile.text
    }

    /// Returns the Dockerfile's path inside the context; of one outside, its file name.
    #[must_use]
    pub fn dockerfile_name(&self) -> &str {
        &self.0.dockerfile.name
    }

    /// Returns whether the Dockerfile is a file of the context.
    #[must_use]
    pub fn dockerfile_is_inside(&self) -> bool {
        self.0.dockerfile.place == Place::Inside
    }

    /// Returns the path of the ignore file that applies, as it would be in the context.
    #[must_use]
    pub fn ignore_file_name(&self) -> Option<&str> {
        self.0.ignore_file.as_ref().map(|file| file.name.as_str())
    }

    /// Returns the cleaned patterns of the ignore file that applies, in its order.
    #[must_use]
    pub fn exclude_patterns(&self) -> &[String] {
        self.0.ignore_file.as_ref().map_or(&[], |file| &file.patterns)
    }

    /// Lists what the ignore rules leave, depth first, each folder's names in the order of their bytes.
    /// A folder whose own name is excluded is listed when something below it is not.
    #[must_use]
    pub fn walk(&self) -> Walk {
        Walk::new(self.0.clone(), self.0.rules.clone())
    }

    /// Opens a regular file of the context. No link on the way to it is followed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when it is gone, [`ErrorKind::InvalidInput`] when it is something else by now
    /// or cannot be read.
    pub fn open_file(&self, entry: &Entry) -> Result<File> {
        self.0.root.open_plain(&entry.path).map_err(|error| unreadable(&entry.path, error))
    }

    /// Returns what opens files of the context, one after the other.
    #[must_use]
    pub fn opener(&self) -> Opener {
        Opener::new(self.clone())
    }

    /// Reads the extended attributes of a file or folder, sorted by name. Other entries have none.
    ///
    /// # Errors
    ///
    /// As [`Context::open_file`].
    pub fn xattrs(&self, entry: &Entry) -> Result<Vec<(String, Vec<u8>)>> {
        let read = match entry.kind {
            EntryKind::File { .. } => self.0.root.open_plain(&entry.path).and_then(xattr::all),
            EntryKind::Folder => self.0.root.open_folder(&entry.path).and_then(xattr::all),
            _ => Ok(Vec::new()),
        };
        read.map_err(|error| unreadable(&entry.path, error))
    }

    /// Returns the context as a tar stream, as the classic builder and libpod take it. Owners are
    /// 0:0, links stay links. The Dockerfile and the ignore files are in it even when they are
    /// excluded, since the builder needs them; it applies the ignore rules to `COPY` itself.
    ///
    /// A Dockerfile that is outside, or has another text by [`TarOptions::dockerfile_text`], gets a name
    /// of its own, which the ignore file in the tar excludes.
    #[must_use]
    pub fn tar(&self, options: TarOptions) -> ContextTar {
        ContextTar::new(self.clone(), options)
    }
}

fn cannot_open(folder: &Path, error: io::Error) -> Error {
    let message = format!("cannot open the context `{}`", folder.display());
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, message)
            .with_cause("there is no such folder")
            .with_remedy("name an existing folder, such as `.`"),
        io::ErrorKind::NotADirectory => Error::new(ErrorKind::InvalidInput, message)
            .with_cause("it is no folder")
            .with_remedy("name a folder; a tar is given on standard input, as `-`"),
        _ => Error::new(ErrorKind::InvalidInput, message)
            .with_source(error)
            .with_remedy("make the folder readable for this user"),
    }
}

/// Returns the error for an entry that cannot be read.
pub(crate) fn unreadable(path: &str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::InvalidInput,
    };
    let message = format!("cannot read `{path}` in the context");
    let remedy = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::InvalidData => {
            "let nothing change the context while it is built"
        }
        _ => "make it readable for this user, or exclude it in `.dockerignore`",
    };
    Error::new(kind, message).with_source(error).with_remedy(remedy)
}
