//! Reduces what a step left to what it changed.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_image::overlay::{Marks, Owners};
use boxwright_image::tar::Kind;
use rustix::fs::{CWD, FileType, Mode};

use super::entry::{Entry, names, same_content, set_time};
use super::lower::{Lower, is_mark, is_opaque, mark};
use crate::failure::on_path;
use crate::remove::remove_tree;

/// What a step left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The upper folder of an overlay: what changed, and some more.
    Upper,
    /// All files, as they were copied and then changed.
    Everything,
}

/// Reduces a folder to the canonical form of what changed.
#[derive(Debug)]
pub(crate) struct Reduce {
    pub(crate) start: Start,
    pub(crate) marks: Marks,
    pub(crate) owners: Owners,
    /// Seconds since 1970 that times are clamped to.
    pub(crate) source_date_epoch: Option<i64>,
}

/// What is left of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reduced {
    /// Whether something in it differs.
    pub(crate) inner: bool,
    /// Whether the root itself differs.
    pub(crate) root: bool,
}

impl Reduce {
    /// Reduces `folder`, whose root was `root` before the step and which lies over `lower`.
    pub(crate) fn run(&self, folder: &Path, root: &Entry, lower: &Lower) -> Result<Reduced> {
        let now = Entry::read(folder, self.owners);
        let now = now.map_err(|error| on_path("cannot read", folder, error))?;
        let inner = self.folder(folder, &now, lower)?;
        let changed = !now.is_like(root);
        let finished = now.clean(folder).and_then(|()| match changed {
            true => self.time(folder, &now),
            // No entry says when it changed, so that the layers below do.
            false => set_time(folder, root.modified),
        });
        finished.map_err(|error| on_path("cannot write to", folder, error))?;
        Ok(Reduced { inner, root: changed })
    }

    /// Reduces what is in a folder, and returns whether something is left.
    fn folder(&self, folder: &Path, entry: &Entry, lower: &Lower) -> Result<bool> {
        let read = |error| on_path("cannot read", folder, error);
        let present = names(folder).map_err(read)?;
        let mut left = false;
        if self.shows_all(entry) {
            // It is written as if it joined the folder below: what is gone is hidden name by name.
            for name in lower.names().map_err(read)? {
                if present.binary_search(&name).is_err() {
                    self.hide(folder, &name)
                        .map_err(|error| on_path("cannot write to", folder, error))?;
                    left = true;
                }
            }
        }
        for name in present {
            let path = folder.join(&name);
            left |= self
                .entry(&path, &name, lower)
                .map_err(|error| on_path("cannot read or write", &path, error))?;
        }
        Ok(left)
    }

    /// Reduces what is at `path`, and returns whether it is left.
    fn entry(&self, path: &Path, name: &OsStr, lower: &Lower) -> io::Result<bool> {
        if is_mark(name) {
            return Err(io::Error::other(refused(path)));
        }
        let entry = Entry::read(path, self.owners)?;
        let below = lower.find(name)?;
        let Some(kind) = &entry.kind else {
            // A socket. What it took the place of is gone.
            std::fs::remove_file(path)?;
            if below.is_some() {
                self.hide(path.parent().unwrap_or(path), name)?;
            }
            return Ok(below.is_some());
        };
        if entry.is_whiteout() {
            if below.is_none() {
                std::fs::remove_file(path)?;
            }
            return Ok(below.is_some());
        }
        let equal = below.as_ref().is_some_and(|below| entry.is_like(&below.entry));
        if *kind == Kind::Folder {
            let nothing = lower.empty();
            let joined = below.as_ref().filter(|below| below.entry.is_folder());
            let inner = joined.map_or(&nothing, |below| &below.below);
            let left = self.folder(path, &entry, inner).map_err(io::Error::other)?;
            if equal && !left {
                remove_tree(path)?;
                return Ok(false);
            }
        } else if let Some(below) = below.filter(|_| equal) {
            let same = match kind {
                Kind::File { .. } => same_content(path, &below.path)?,
                _ => true,
            };
            if same {
                std::fs::remove_file(path)?;
                return Ok(false);
            }
        }
        entry.clean(path)?;
        self.time(path, &entry)?;
        Ok(true)
    }

    /// Returns whether a folder shows nothing of the folder below it.
    fn shows_all(&self, entry: &Entry) -> bool {
        self.start == Start::Everything
            || self.marks.opaque_attribute().is_some_and(|name| is_opaque(entry, name))
    }

    fn time(&self, path: &Path, entry: &Entry) -> io::Result<()> {
        // Whole seconds, rounded down: the fraction counts up, before 1970 too.
        let (seconds, _) = entry.modified;
        let latest = self.source_date_epoch.unwrap_or(i64::MAX);
        set_time(path, (seconds.min(latest), 0))
    }

    fn hide(&self, folder: &Path, name: &OsStr) -> io::Result<()> {
        match self.marks {
            Marks::Trusted | Marks::User => {
                let device = rustix::fs::makedev(0, 0);
                let kind = FileType::CharacterDevice;
                Ok(rustix::fs::mknodat(CWD, folder.join(name), kind, Mode::empty(), device)?)
            }
            Marks::Names => std::fs::File::create_new(folder.join(mark(name))).map(drop),
        }
    }
}

fn refused(path: &Path) -> Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Error::new(ErrorKind::InvalidInput, format!("cannot put a file named `{name}` into a layer"))
        .with_cause("a name that begins with `.wh.` hides files in a layer")
        .with_remedy("remove the file in the step that makes it, or name it otherwise")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_empty_marks_are_left_out() {
        let place = tempfile::tempdir().unwrap();
        let (upper, below) = (place.path().join("upper"), place.path().join("below"));
        for folder in [&upper, &below] {
            std::fs::create_dir(folder).unwrap();
        }
        std::fs::write(below.join("replaced"), "").unwrap();
        std::fs::write(below.join("kept"), "").unwrap();
        let _sockets = ["socket", "replaced"]
            .map(|name| std::os::unix::net::UnixListener::bind(upper.join(name)).unwrap());
        let owners = Owners::Real;
        let root = Entry::read(&upper, owners).unwrap();
        let lower = Lower::new(vec![below], Marks::Names, owners);
        let reduce =
            Reduce { start: Start::Upper, marks: Marks::Names, owners, source_date_epoch: None };
        let left = reduce.run(&upper, &root, &lower).unwrap();
        assert_eq!(left, Reduced { inner: true, root: false });
        assert_eq!(names(&upper).unwrap(), [".wh.replaced"]);
    }
}
