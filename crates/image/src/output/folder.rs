//! A tree as a folder: everything is made through descriptors of folders that are no links.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Manifest, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::Ownership;
use super::content::each_file;
use crate::layout::{Layout, cannot_write};
use crate::view::{Node, NodeKind, Tree};

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Writes into a folder that was opened once.
struct Writer<'d> {
    destination: &'d Path,
    root: OwnedFd,
    ownership: Ownership,
    /// The folder used last, by its path: files come in groups.
    last: Option<(PathBuf, OwnedFd)>,
    /// What was made here, by device and inode, with its path.
    made: HashMap<(u64, u64), PathBuf>,
}

pub(super) fn write(
    tree: &Tree,
    layout: &Layout,
    manifest: &Manifest,
    destination: &Path,
    ownership: Ownership,
) -> Result<()> {
    // A link in its place is not followed (threat 46).
    let root = std::fs::create_dir_all(destination)
        .and_then(|()| Ok(rustix::fs::open(destination, FOLDER, Mode::empty())?))
        .map_err(|error| cannot_write(destination, error))?;
    let mut writer = Writer { destination, root, ownership, last: None, made: HashMap::new() };
    for (path, _) in tree.iter().filter(|(_, node)| node.is_folder()) {
        writer.folder(path).map_err(|error| writer.fail(path, error))?;
    }
    each_file(tree, layout, manifest, &mut |node, paths, content| {
        writer.file(node, paths, content)
    })?;
    for (node, paths) in tree.by_node() {
        if !matches!(node.kind, NodeKind::File { .. } | NodeKind::Folder) {
            writer.special(node, paths[0]).map_err(|error| writer.fail(paths[0], error))?;
            writer.links(&paths)?;
        }
    }
    // Last, and the inner ones first: making something in a folder changes its time.
    let folders: Vec<_> = tree.iter().filter(|(_, node)| node.is_folder()).collect();
    for (path, node) in folders.into_iter().rev() {
        writer.finish_folder(node, path).map_err(|error| writer.fail(path, error))?;
    }
    Ok(())
}

impl Writer<'_> {
    fn folder(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                self.check_folding(path, (stat.st_dev, stat.st_ino))?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                    rustix::fs::unlinkat(&parent, name, AtFlags::empty())?;
                    rustix::fs::mkdirat(&parent, name, Mode::RWXU)?;
                }
            }
            Err(error) => return Err(error.into()),
        }
        self.remember(&parent, name, path)
    }

    fn file(&mut self, node: &Node, paths: &[&Path], content: &mut dyn Read) -> Result<()> {
        let path = paths[0];
        let mut file = File::from(self.create(path).map_err(|error| self.fail(path, error))?);
        let written = io::copy(content, &mut file)
            .and_then(|_| self.set_owner_and_mode(&file, node))
            .and_then(|()| set_times(&file, node));
        if let Err(error) = written {
            // Half a file would be taken for a whole one.
            if let Ok((parent, name)) = self.parent(path) {
                let _ = rustix::fs::unlinkat(parent, name, AtFlags::empty());
            }
            return Err(match error.downcast::<Error>() {
                Ok(error) => error,
                Err(error) => self.fail(path, error),
            });
        }
        self.links(paths)
    }

    fn create(&mut self, path: &Path) -> io::Result<OwnedFd> {
        let (parent, name) = self.parent(path)?;
        self.make_room(&parent, name, path)?;
        let file = rustix::fs::openat(&parent, name, NEW_FILE, Mode::RUSR | Mode::WUSR)?;
        self.remember(&parent, name, path)?;
        Ok(file)
    }

    fn links(&mut self, paths: &[&Path]) -> Result<()> {
        for path in &paths[1..] {
            self.link(paths[0], path).map_err(|error| self.fail(path, error))?;
        }
        Ok(())
    }

    fn link(&mut self, first: &Path, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        self.make_room(&parent, name, path)?;
        let (first_parent, first_name) = self.parent(first)?;
        // Without a flag, a link itself is linked and not what it leads to.
        rustix::fs::linkat(first_parent, first_name, parent, name, AtFlags::empty())?;
        Ok(())
    }

    fn special(&mut self, node: &Node, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        self.make_room(&parent, name, path)?;
        let mode = Mode::from_raw_mode(node.mode);
        let device = |major, minor| rustix::fs::makedev(major, minor);
        let (kind, device) = match &node.kind {
            NodeKind::Symlink { target } => {
                rustix::fs::symlinkat(target, &parent, name)?;
                (FileType::Symlink, 0)
            }
            NodeKind::Fifo => (FileType::Fifo, 0),
            &NodeKind::CharacterDevice { major, minor } => {
                (FileType::CharacterDevice, device(major, minor))
            }
            &NodeKind::BlockDevice { major, minor } => {
                (FileType::BlockDevice, device(major, minor))
            }
            NodeKind::File { .. } | NodeKind::Folder => return Ok(()),
        };
        if kind != FileType::Symlink {
            rustix::fs::mknodat(&parent, name, kind, mode, device)?;
        }
        if self.ownership == Ownership::Image {
            let (uid, gid) = owner(node);
            rustix::fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if kind != FileType::Symlink {
            // What was just made here is no link, and the folder is held open.
            rustix::fs::chmodat(&parent, name, mode, AtFlags::empty())?;
        }
        rustix::fs::utimensat(&parent, name, &times(node), AtFlags::SYMLINK_NOFOLLOW)?;
        self.remember(&parent, name, path)
    }

    fn finish_folder(&mut self, node: &Node, path: &Path) -> io::Result<()> {
        let folder = self.open_folder(path)?;
        self.set_owner_and_mode(&folder, node)?;
        set_times(&folder, node)
    }

    fn set_owner_and_mode(&self, file: impl AsFd, node: &Node) -> io::Result<()> {
        if self.ownership == Ownership::Image {
            let (uid, gid) = owner(node);
            rustix::fs::fchown(&file, uid, gid)?;
        }
        // After the owner: changing that takes the set-user-id bit and capabilities away.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(node.mode))?;
        for (name, value) in &node.xattrs {
            let kept = self.ownership == Ownership::Image || name.starts_with("user.");
            match rustix::fs::fsetxattr(&file, name.as_str(), value, XattrFlags::empty()) {
                _ if !kept => {}
                // A folder for looking at may be on a file system without them.
                Err(Errno::OPNOTSUPP) if self.ownership == Ownership::Caller => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Removes what is at `name`, unless it is a folder with something in it or was made here.
    fn make_room(&self, parent: &OwnedFd, name: &OsStr, path: &Path) -> io::Result<()> {
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.check_folding(path, (stat.st_dev, stat.st_ino))?;
        let flags = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => AtFlags::REMOVEDIR,
            _ => AtFlags::empty(),
        };
        Ok(rustix::fs::unlinkat(parent, name, flags)?)
    }

    /// A file system that folds case has two names of the image as one (threat 9).
    fn check_folding(&self, path: &Path, identity: (u64, u64)) -> io::Result<()> {
        match self.made.get(&identity) {
            Some(other) if other != path => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("it is the same name as `{}` on this file system", other.display()),
            )),
            _ => Ok(()),
        }
    }

    fn remember(&mut self, parent: &OwnedFd, name: &OsStr, path: &Path) -> io::Result<()> {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        self.made.insert((stat.st_dev, stat.st_ino), path.to_owned());
        Ok(())
    }

    /// Returns the open folder that `path` is in, and its name there.
    fn parent<'p>(&mut self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().unwrap_or_default();
        if let Some((last, folder)) = &self.last
            && last == parent
        {
            return Ok((folder.try_clone()?, name));
        }
        let folder = self.open_folder(parent)?;
        self.last = Some((parent.to_owned(), folder.try_clone()?));
        Ok((folder, name))
    }

    fn open_folder(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut folder = self.root.try_clone()?;
        for part in path {
            folder = rustix::fs::openat(&folder, part, FOLDER, Mode::empty())?;
        }
        Ok(folder)
    }

    fn fail(&self, path: &Path, error: io::Error) -> Error {
        let full = self.destination.join(path);
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                Error::new(ErrorKind::InvalidInput, format!("cannot write to `{}`", full.display()))
                    .with_source(error)
                    .with_remedy("write the image as a tar, with `--output type=tar,dest=FILE`")
            }
            io::ErrorKind::DirectoryNotEmpty => {
                Error::new(ErrorKind::InvalidInput, format!("cannot write to `{}`", full.display()))
                    .with_cause("a folder with something in it is in the way")
                    .with_remedy("choose an empty folder")
            }
            _ => cannot_write(&full, error),
        }
    }
}

fn owner(node: &Node) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)))
}

fn times(node: &Node) -> Timestamps {
    let time = Timespec { tv_sec: node.modified.0, tv_nsec: node.modified.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn set_times(file: impl AsFd, node: &Node) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &times(node))?)
}
