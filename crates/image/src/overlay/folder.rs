//! Makes and removes what is in one folder, through descriptors and without following a link.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

pub(super) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder that was opened once, with the folder used last below it.
pub(super) struct Root {
    root: OwnedFd,
    last: Option<(PathBuf, OwnedFd)>,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { root: rustix::fs::open(path, FOLDER, Mode::empty())?, last: None })
    }

    /// Returns the open folder `path`. No part of it may be a link.
    pub(super) fn folder(&mut self, path: &Path) -> io::Result<&OwnedFd> {
        if path.as_os_str().is_empty() {
            return Ok(&self.root);
        }
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            let (start, rest) = match &self.last {
                Some((last, folder)) => match path.strip_prefix(last) {
                    Ok(rest) => (folder.as_fd(), rest),
                    Err(_) => (self.root.as_fd(), path),
                },
                None => (self.root.as_fd(), path),
            };
            let mut folder: Option<OwnedFd> = None;
            for part in rest {
                let from = folder.as_ref().map_or(start, AsFd::as_fd);
                folder = Some(rustix::fs::openat(from, part, FOLDER, Mode::empty())?);
            }
            let folder = folder.ok_or(Errno::INVAL)?;
            self.last = Some((path.to_owned(), folder));
        }
        let (_, folder) = self.last.as_ref().ok_or(Errno::INVAL)?;
        Ok(folder)
    }

    /// Returns the open folder that `path` is in, and its name there.
    pub(super) fn parent<'p>(&mut self, path: &'p Path) -> io::Result<(&OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        Ok((self.folder(path.parent().unwrap_or(Path::new("")))?, name))
    }

    /// Returns the type of what is at `path`, if there is something.
    pub(super) fn kind(&mut self, path: &Path) -> io::Result<Option<FileType>> {
        let (parent, name) = self.parent(path)?;
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes `path` and everything in it, if it is there.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        if self.last.as_ref().is_some_and(|(last, _)| last.starts_with(path)) {
            self.last = None;
        }
        let (parent, name) = self.parent(path)?;
        remove_at(parent, name)
    }
}

fn remove_at(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let folder = rustix::fs::openat(parent, name, FOLDER, Mode::empty())?;
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            remove_at(&folder, std::os::unix::ffi::OsStrExt::from_bytes(name))?;
        }
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}
