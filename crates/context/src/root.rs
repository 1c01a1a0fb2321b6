//! The folder of a context, held open: every path is resolved below it, link by link.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// How many links a path may lead through, as on Linux.
const MOST_LINKS: usize = 40;

/// A folder that was opened once. Whatever is swapped or linked in it later, nothing leads out.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
// A named pipe must not block its reader (threat 7).
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Root {
    /// Opens `folder`, which the user named: links to it are followed.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(folder, flags, Mode::empty())?))
    }

    /// Returns another handle of the folder itself.
    pub(crate) fn folder(&self) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&self.0, c".", FOLDER, Mode::empty())?)
    }

    /// Opens the regular file at `path`, on whose way there may be no link.
    pub(crate) fn open_plain(&self, path: &str) -> io::Result<File> {
        let (folder, name) = match path.rsplit_once('/') {
            Some((folders, name)) => (self.open_folder(folders)?, name),
            None => (self.folder()?, path),
        };
        open_regular(&folder, OsStr::new(name))
    }

    /// Opens the folder at `path`, on whose way there may be no link.
    pub(crate) fn open_folder(&self, path: &str) -> io::Result<OwnedFd> {
        let mut folder = self.folder()?;
        for name in path.split('/') {
            folder = open_folder(&folder, OsStr::new(name))?;
        }
        Ok(folder)
    }

    /// Opens the regular file that `path` leads to when links are followed as if the folder were
    /// the root of the file system, and returns the path where it really is.
    pub(crate) fn open_resolved(&self, path: &Path) -> io::Result<(File, PathBuf)> {
        let mut folders = vec![self.folder()?];
        let mut names: Vec<OsString> = Vec::new();
        let mut queue: VecDeque<OsString> = parts(path).collect();
        let mut links = 0;
        while let Some(name) = queue.pop_front() {
            match name.as_bytes() {
                b"/" => {
                    folders.truncate(1);
                    names.clear();
                    continue;
                }
                b".." => {
                    folders.truncate(folders.len().max(2) - 1);
                    names.pop();
                    continue;
                }
                _ => {}
            }
            let folder = &folders[folders.len() - 1];
            match rustix::fs::readlinkat(folder, &name, Vec::new()) {
                Ok(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = OsString::from_vec(target.into_bytes());
                    for part in parts(Path::new(&target)).collect::<Vec<_>>().into_iter().rev() {
                        queue.push_front(part);
                    }
                }
                Err(Errno::INVAL) if queue.is_empty() => {
                    let file = open_regular(folder, &name)?;
                    names.push(name);
                    return Ok((file, names.iter().collect()));
                }
                Err(Errno::INVAL) => {
                    folders.push(open_folder(folder, &name)?);
                    names.push(name);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::ISDIR.into())
    }
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::RootDir => Some(OsString::from("/")),
        Component::ParentDir => Some(OsString::from("..")),
        Component::Normal(name) => Some(name.to_owned()),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Opens the folder `name`, which may not be a link.
pub(crate) fn open_folder(parent: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(parent, name, FOLDER, Mode::empty())?)
}

/// Opens the regular file `name`, which may not be a link.
pub(crate) fn open_regular(parent: impl AsFd, name: &OsStr) -> io::Result<File> {
    let file = rustix::fs::openat(parent, name, FILE, Mode::empty())?;
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        FileType::Directory => Err(Errno::ISDIR.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn resolved(root: &Root, path: &str) -> io::Result<(String, PathBuf)> {
        let (mut file, at) = root.open_resolved(Path::new(path))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok((text, at))
    }

    #[test]
    fn links_lead_nowhere_outside_threat_13() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::write(outer.path().join("secret"), "outside").unwrap();
        let inner = outer.path().join("context");
        std::fs::create_dir_all(inner.join("sub")).unwrap();
        std::fs::write(inner.join("sub/secret"), "inside").unwrap();
        symlink("../secret", inner.join("climbs")).unwrap();
        symlink(outer.path().join("secret"), inner.join("absolute")).unwrap();
        symlink("/sub/secret", inner.join("rooted")).unwrap();
        symlink("loop", inner.join("loop")).unwrap();
        symlink("sub", inner.join("folder")).unwrap();
        let root = Root::open(&inner).unwrap();
        assert_eq!(resolved(&root, "climbs").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(resolved(&root, "absolute").unwrap_err().kind(), io::ErrorKind::NotFound);
        let endless = resolved(&root, "loop").unwrap_err();
        assert_eq!(endless.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
        let there = ("inside".to_owned(), PathBuf::from("sub/secret"));
        assert_eq!(resolved(&root, "rooted").unwrap(), there);
        assert_eq!(resolved(&root, "folder/../../sub/secret").unwrap(), there);
        assert!(root.open_plain("folder/secret").is_err());
        assert!(root.open_plain("rooted").is_err());
        assert!(root.open_plain("sub/secret").is_ok());
    }

    #[test]
    fn a_pipe_is_refused_and_does_not_block_threat_7() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("Dockerfile");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let root = Root::open(folder.path()).unwrap();
        assert_eq!(root.open_plain("Dockerfile").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
