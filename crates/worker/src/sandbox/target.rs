//! Finds what a mount goes over, and makes it if it is missing, all through descriptors inside the root.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, Timestamps};
use rustix::io::Errno;

use crate::failure::system;

/// How many links a path may lead through, as on Linux.
const MOST_LINKS: usize = 40;

const PART: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What a mount goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Folder,
    File,
}

/// The root file system of a step, before the step is in it.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    mount: u64,
    /// The folder's path in the worker's file system.
    path: PathBuf,
    /// What was made to be mounted over: the folder in the root, and the name there.
    stubs: Vec<(PathBuf, OsString)>,
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let open = || -> io::Result<_> {
            let folder = rustix::fs::open(path, PART | OFlags::DIRECTORY, Mode::empty())?;
            let mount = mount_of(&folder)?;
            Ok((folder, mount, std::fs::canonicalize(path)?))
        };
        let opened = open().map_err(|error| system("cannot open the root file system", error));
        let (folder, mount, path) = opened?;
        Ok(Self { folder, mount, path, stubs: Vec::new() })
    }

    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    /// Returns what was made in the step's own layer, and has to be removed after the step.
    pub(super) fn into_stubs(self) -> Vec<(PathBuf, OsString)> {
        self.stubs
    }

    /// Opens what is at `target`, or makes it with the folders above it.
    pub(super) fn place(&mut self, target: &str, shape: Shape) -> Result<OwnedFd> {
        let fail = |error: io::Error| match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => {
                Error::new(ErrorKind::InvalidInput, format!("cannot mount at `{target}`"))
                    .with_source(error)
            }
        };
        self.walk(Path::new(target), Some(shape)).map_err(fail)
    }

    /// Opens what is at `path`, if something is.
    pub(super) fn find(&mut self, path: &str) -> io::Result<Option<OwnedFd>> {
        match self.walk(Path::new(path), None) {
            Ok(found) => Ok(Some(found)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Follows `path` step by step. Every link is followed here and not by the kernel, so that nothing leads out.
    fn walk(&mut self, path: &Path, make: Option<Shape>) -> io::Result<OwnedFd> {
        let mut queue: VecDeque<OsString> = parts(path).collect();
        let mut above: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        let mut reached: Option<OwnedFd> = None;
        while let Some(part) = queue.pop_front() {
            if part == "/" {
                above.clear();
                continue;
            }
            if part == ".." {
                above.pop();
                continue;
            }
            let folder = above.last().unwrap_or(&self.folder);
            let next = match rustix::fs::openat(folder, &part, PART, Mode::empty()) {
                Err(Errno::NOENT) if make.is_some() => {
                    let shape = match make {
                        Some(shape) if queue.is_empty() => shape,
                        _ => Shape::Folder,
                    };
                    let folder = folder.try_clone()?;
                    self.make(&folder, &part, shape)?;
                    rustix::fs::openat(&folder, &part, PART, Mode::empty())?
                }
                next => next?,
            };
            match FileType::from_raw_mode(rustix::fs::fstat(&next)?.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                        queue.push_front(part);
                    }
                }
                FileType::Directory => above.push(next),
                _ if queue.is_empty() => reached = Some(next),
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        match (reached, make) {
            (Some(_), Some(Shape::Folder)) => Err(Errno::NOTDIR.into()),
            (None, Some(Shape::File)) => Err(Errno::ISDIR.into()),
            (Some(file), _) => Ok(file),
            (None, _) => match above.pop() {
                Some(folder) => Ok(folder),
                None => self.folder.try_clone(),
            },
        }
    }

    fn make(&mut self, folder: &OwnedFd, name: &OsStr, shape: Shape) -> io::Result<()> {
        let before = rustix::fs::fstat(folder)?;
        match shape {
            Shape::Folder => rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755))?,
            Shape::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(0o644);
                rustix::fs::openat(folder, name, flags | OFlags::WRONLY, mode)?;
            }
        }
        if mount_of(folder)? == self.mount {
            set_times(folder, &before)?;
            let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(folder));
            let path = std::fs::read_link(link)?;
            let path = path.strip_prefix(&self.path).map_err(io::Error::other)?;
            self.stubs.push((path.to_owned(), name.to_owned()));
        }
        Ok(())
    }
}

/// What was made to be mounted over, held so that it is found wherever the step moves it.
#[derive(Debug)]
pub(super) struct Stubs(Vec<(OwnedFd, OsString)>);

impl Stubs {
    /// Opens the folders that stubs are in, in the root at `root`.
    pub(super) fn open(root: &Path, stubs: &[(PathBuf, OsString)]) -> io::Result<Self> {
        let open = |(folder, name): &(PathBuf, OsString)| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = rustix::fs::open(root.join(folder), flags, Mode::empty())?;
            Ok((folder, name.clone()))
        };
        stubs.iter().map(open).collect::<io::Result<_>>().map(Self)
    }

    /// Removes them. A folder that something is in by now, or a file that has content, belongs to the step.
    pub(super) fn remove(self) -> io::Result<()> {
        for (folder, name) in self.0.into_iter().rev() {
            let before = rustix::fs::fstat(&folder)?;
            let stat = match rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let removed = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => rustix::fs::unlinkat(&folder, &name, AtFlags::REMOVEDIR),
                FileType::RegularFile if stat.st_size == 0 => {
                    rustix::fs::unlinkat(&folder, &name, AtFlags::empty())
                }
                _ => continue,
            };
            match removed {
                Ok(()) => set_times(&folder, &before)?,
                Err(Errno::NOTEMPTY | Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Gives a folder the time that it had, so that making and removing in it leaves no trace.
fn set_times(folder: &OwnedFd, stat: &rustix::fs::Stat) -> io::Result<()> {
    let time =
        |seconds, nanoseconds| rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps {
        last_access: time(stat.st_atime as _, stat.st_atime_nsec as _),
        last_modification: time(stat.st_mtime as _, stat.st_mtime_nsec as _),
    };
    // The folder may be open for nothing but its path.
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(folder));
    Ok(rustix::fs::utimensat(rustix::fs::CWD, link, &times, AtFlags::empty())?)
}

fn mount_of(file: impl AsFd) -> io::Result<u64> {
    let found = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    Ok(found.stx_mnt_id)
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::RootDir => Some(OsString::from("/")),
        Component::ParentDir => Some(OsString::from("..")),
        Component::Normal(name) => Some(OsStr::from_bytes(name.as_bytes()).to_owned()),
        Component::CurDir | Component::Prefix(_) => None,
    })
}
