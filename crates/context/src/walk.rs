//! Lists a context.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Arc;

use boxwright_core::{Error, ErrorKind, Result};
use rustix::fs::{AtFlags, Dir, FileType, Stat};
use rustix::io::Errno;

use crate::context::{Inner, unreadable};
use crate::ignore::{Matched, Rules};
use crate::{Entry, EntryKind, HardLink, Stamp, root};

/// How deep folders may be nested: each level is a file held open.
const MOST_LEVELS: usize = 500;

/// Lists what the ignore rules leave of a context. See [`Context::walk`](crate::Context::walk).
#[derive(Debug)]
pub struct Walk {
    inner: Arc<Inner>,
    rules: Arc<Rules>,
    levels: Vec<Level>,
    ready: VecDeque<Entry>,
    sockets: Vec<String>,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Running,
    Failed,
}

/// A folder that is being listed.
#[derive(Debug)]
struct Level {
    folder: OwnedFd,
    /// Its path with a `/` at the end; empty for the root.
    prefix: String,
    /// Names that are still to come, last first.
    names: Vec<OsString>,
    /// Which patterns match it. `None` for the root.
    matched: Option<Matched>,
    /// The excluded folder itself, listed as soon as something in it is.
    pending: Option<Entry>,
}

impl Walk {
    pub(crate) fn new(inner: Arc<Inner>, rules: Arc<Rules>) -> Self {
        let (levels, ready, sockets) = (Vec::new(), VecDeque::new(), Vec::new());
        Self { inner, rules, levels, ready, sockets, state: State::Fresh }
    }

    /// Returns the sockets met so far: they are left out, since an image cannot hold one.
    #[must_use]
    pub fn sockets(&self) -> &[String] {
        &self.sockets
    }

    fn step(&mut self) -> Result<Option<Entry>> {
        if self.state == State::Fresh {
            self.state = State::Running;
            let folder = self.inner.root.folder().map_err(|error| unreadable(".", error))?;
            self.enter(folder, String::new(), None, None)?;
        }
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            match level.names.pop() {
                Some(name) => self.look(&name)?,
                None => drop(self.levels.pop()),
            }
        }
    }

    fn look(&mut self, name: &OsStr) -> Result<()> {
        let level = &self.levels[self.levels.len() - 1];
        let path = format!("{}{}", level.prefix, name.to_string_lossy());
        let (excluded, matched) = self.rules.verdict(&path, level.matched.as_ref());
        if excluded && !self.rules.may_include_below(&path) {
            return Ok(());
        }
        let stat = match rustix::fs::statat(&level.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // It went away while the folder was listed.
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(unreadable(&path, error.into())),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if excluded && kind != FileType::Directory {
            return Ok(());
        }
        if name.to_str().is_none() || path.len() > 4095 {
            return Err(unusable_name(&path, name));
        }
        if kind == FileType::Socket {
            self.sockets.push(path);
            return Ok(());
        }
        let kind = kind_of(kind, &stat, || {
            let target = rustix::fs::readlinkat(&level.folder, name, Vec::new())?;
            let target = String::from_utf8(target.into_bytes());
            target
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "its target is not UTF-8"))
        });
        let entry = entry(path, kind, &stat)?;
        if entry.kind != EntryKind::Folder {
            self.list(entry);
            return Ok(());
        }
        let folder = match root::open_folder(&level.folder, name) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unreadable(&entry.path, error)),
        };
        let prefix = format!("{}/", entry.path);
        let pending = if excluded {
            Some(entry)
        } else {
            self.list(entry);
            None
        };
        self.enter(folder, prefix, Some(matched), pending)
    }

    fn enter(
        &mut self,
        folder: OwnedFd,
        prefix: String,
        matched: Option<Matched>,
        pending: Option<Entry>,
    ) -> Result<()> {
        if self.levels.len() >= MOST_LEVELS {
            return Err(Error::new(
                ErrorKind::Exhausted,
                format!("cannot read `{prefix}` in the context"),
            )
            .with_cause(format!("it is nested deeper than {MOST_LEVELS} folders"))
            .with_remedy("exclude it in `.dockerignore`"));
        }
        let read = || -> io::Result<Vec<OsString>> {
            let mut names = Vec::new();
            for found in Dir::read_from(&folder)? {
                let name = found?.file_name().to_bytes().to_vec();
                if name != b"." && name != b".." {
                    names.push(OsString::from_vec(name));
                }
            }
            // Last first, so that the next one is taken off the end.
            names.sort_unstable_by(|a, b| b.as_bytes().cmp(a.as_bytes()));
            Ok(names)
        };
        let names = read().map_err(|error| unreadable(prefix.trim_end_matches('/'), error))?;
        self.levels.push(Level { folder, prefix, names, matched, pending });
        Ok(())
    }

    fn list(&mut self, entry: Entry) {
        let above = self.levels.iter_mut().filter_map(|level| level.pending.take());
        self.ready.extend(above);
        self.ready.push_back(entry);
    }
}

impl Iterator for Walk {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Failed {
            return None;
        }
        let step = self.step().transpose();
        if let Some(Err(_)) = &step {
            self.state = State::Failed;
        }
        step
    }
}

fn kind_of(
    kind: FileType,
    stat: &Stat,
    target: impl FnOnce() -> io::Result<String>,
) -> io::Result<EntryKind> {
    let device = || (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    Ok(match kind {
        FileType::RegularFile => EntryKind::File { size: stat.st_size as u64 },
        FileType::Directory => EntryKind::Folder,
        FileType::Symlink => EntryKind::Symlink { target: target()? },
        FileType::Fifo => EntryKind::Fifo,
        FileType::CharacterDevice => {
            let (major, minor) = device();
            EntryKind::CharacterDevice { major, minor }
        }
        FileType::BlockDevice => {
            let (major, minor) = device();
            EntryKind::BlockDevice { major, minor }
        }
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "its type is unknown")),
    })
}

#[expect(clippy::unnecessary_cast, reason = "the width of these fields differs by platform")]
fn entry(path: String, kind: io::Result<EntryKind>, stat: &Stat) -> Result<Entry> {
    let kind = kind.map_err(|error| unreadable(&path, error))?;
    let names = stat.st_nlink as u64;
    let linked = matches!(kind, EntryKind::File { .. }) && names > 1;
    let hard_link =
        linked.then_some(HardLink { device: stat.st_dev as u64, inode: stat.st_ino as u64, names });
    let (mode, stamp) = (stat.st_mode as u32 & 0o7777, Stamp::of(stat));
    Ok(Entry { path, kind, mode, modified: stamp.modified, hard_link, stamp })
}

fn unusable_name(path: &str, name: &OsStr) -> Error {
    let cause = match name.to_str() {
        None => "its name is not UTF-8",
        Some(_) => "its path has more than 4095 bytes",
    };
    Error::new(ErrorKind::InvalidInput, format!("cannot take `{path}` into the context"))
        .with_cause(cause)
        .with_remedy("rename it, or exclude it in `.dockerignore`")
}
