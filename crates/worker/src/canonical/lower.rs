//! What the layers below show, read from their folders as overlayfs would.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use boxwright_image::overlay::{Marks, Owners};

use super::entry::{Entry, names};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// One folder of the layers below: the folders that it is made of, uppermost first.
#[derive(Clone, Debug)]
pub(crate) struct Lower {
    folders: Vec<PathBuf>,
    marks: Marks,
    owners: Owners,
}

/// What the layers below have under a name.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) path: PathBuf,
    /// What is in it, if it is a folder.
    pub(crate) below: Lower,
}

impl Lower {
    pub(crate) fn new(folders: Vec<PathBuf>, marks: Marks, owners: Owners) -> Self {
        Self { folders, marks, owners }
    }

    /// Returns a folder with nothing in it.
    pub(crate) fn empty(&self) -> Self {
        Self { folders: Vec::new(), ..self.clone() }
    }

    /// Returns what is seen under `name`.
    pub(crate) fn find(&self, name: &OsStr) -> io::Result<Option<Found>> {
        let mut found: Option<Found> = None;
        for folder in &self.folders {
            let path = folder.join(name);
            if let Some(entry) = Entry::find(&path, self.owners)? {
                if self.hides(&entry) {
                    break;
                }
                if !entry.is_folder() {
                    // Below a folder it is hidden by that.
                    if found.is_none() {
                        found = Some(Found { entry, path, below: self.empty() });
                    }
                    break;
                }
                let opaque = self.is_opaque(&path, &entry)?;
                let found = found.get_or_insert_with(|| Found {
                    entry,
                    path: path.clone(),
                    below: self.empty(),
                });
                found.below.folders.push(path);
                if opaque {
                    break;
                }
            }
            if self.marks == Marks::Names && folder.join(mark(name)).symlink_metadata().is_ok() {
                break;
            }
        }
        Ok(found)
    }

    /// Returns what is seen at a path with no link in it.
    pub(crate) fn follow(&self, path: &Path) -> io::Result<Option<Found>> {
        let mut found: Option<Found> = None;
        for name in path {
            let next = match &found {
                Some(folder) => folder.below.find(name)?,
                None => self.find(name)?,
            };
            match next {
                Some(next) => found = Some(next),
                None => return Ok(None),
            }
        }
        Ok(found)
    }

    /// Returns the names that are seen.
    pub(crate) fn names(&self) -> io::Result<BTreeSet<OsString>> {
        let (mut seen, mut hidden) = (BTreeSet::new(), BTreeSet::new());
        for folder in &self.folders {
            let mut hidden_here = Vec::new();
            for name in names(folder)? {
                if self.marks == Marks::Names
                    && let Some(rest) = name.as_bytes().strip_prefix(WHITEOUT)
                {
                    hidden_here.push(OsStr::from_bytes(rest).to_owned());
                    continue;
                }
                if hidden.contains(&name) || seen.contains(&name) {
                    continue;
                }
                let device = self.marks != Marks::Names
                    && Entry::read(&folder.join(&name), self.owners)?.is_whiteout();
                if device {
                    hidden.insert(name);
                } else {
                    seen.insert(name);
                }
            }
            hidden.extend(hidden_here);
        }
        Ok(seen)
    }

    fn hides(&self, entry: &Entry) -> bool {
        self.marks != Marks::Names && entry.is_whiteout()
    }

    fn is_opaque(&self, path: &Path, entry: &Entry) -> io::Result<bool> {
        match self.marks.opaque_attribute() {
            Some(name) => Ok(is_opaque(entry, name)),
            None => path.join(OPAQUE).try_exists(),
        }
    }
}

/// Returns whether a folder is marked to show nothing of what is below it.
pub(super) fn is_opaque(entry: &Entry, attribute: &str) -> bool {
    entry.attributes.get(attribute).is_some_and(|value| value == b"y")
}

/// Returns the name of the file that hides `name` in a layer.
pub(super) fn mark(name: &OsStr) -> OsString {
    OsStr::from_bytes(&[WHITEOUT, name.as_bytes()].concat()).to_owned()
}

/// Returns whether a name is that of a mark.
pub(super) fn is_mark(name: &OsStr) -> bool {
    name.as_bytes().starts_with(WHITEOUT)
}

/// Returns the name that a mark hides.
pub(super) fn marked(name: &OsStr) -> Option<&OsStr> {
    name.as_bytes().strip_prefix(WHITEOUT).map(OsStr::from_bytes)
}
