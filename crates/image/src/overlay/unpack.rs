//! Unpacks one layer into a folder of its own, whatever is below it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use boxwright_core::{Digest, Error, ErrorKind, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::folder::Root;
use super::{Marks, OWNER_ATTRIBUTE, Owners, Unpacked};
use crate::layer::kept_xattrs;
use crate::layout::cannot_write;
use crate::tar::{Header, Kind, Limits, Reader};
use crate::verify::Verified;
use crate::view::follow;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS: &[u8] = b".wh..wh.";

const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Unpacks the uncompressed layer that `tar` gives into the empty folder `destination`, with owners, devices,
/// attributes, and marks for what it hides. What the folder has is complete only when this succeeds. Blocks.
///
/// Where devices cannot be made, they are left out: a step has its own `/dev`.
///
/// # Errors
///
/// As [`Reader::next_entry`]; [`ErrorKind::Protocol`] when the layer has another digest than `diff_id`;
/// [`ErrorKind::Exhausted`] when the disk is full, [`ErrorKind::Unavailable`] when it cannot be written.
pub fn unpack_layer(
    tar: &mut dyn Read,
    diff_id: &Digest,
    destination: &Path,
    marks: Marks,
    owners: Owners,
) -> Result<Unpacked> {
    let verified = Verified::new(tar, diff_id.clone());
    let mut reader = Reader::new(BufReader::with_capacity(256 << 10, verified), Limits::default());
    let root = Root::open(destination).map_err(|error| cannot_write(destination, error))?;
    let mut layer = Unpacking {
        destination,
        root,
        marks,
        owners,
        links: BTreeMap::new(),
        folders: BTreeMap::from([(PathBuf::new(), None)]),
        whiteouts: BTreeSet::new(),
        opaque: BTreeSet::new(),
        buffer: vec![0; 256 << 10],
        result: Unpacked::default(),
    };
    while let Some(header) = reader.next_entry()? {
        layer.add(header, &mut reader)?;
    }
    reader.finish()?;
    layer.finish()
}

struct Unpacking<'d> {
    destination: &'d Path,
    root: Root,
    marks: Marks,
    owners: Owners,
    /// The symbolic links of this layer.
    links: BTreeMap<PathBuf, PathBuf>,
    /// The folders, each with what describes it.
    folders: BTreeMap<PathBuf, Option<Header>>,
    whiteouts: BTreeSet<PathBuf>,
    opaque: BTreeSet<PathBuf>,
    buffer: Vec<u8>,
    result: Unpacked,
}

impl Unpacking<'_> {
    fn add(&mut self, header: Header, content: &mut impl Read) -> Result<()> {
        let named = header.path.clone();
        let hostile = |cause: &str| hostile(&named, cause);
        let Some(name) = header.path.file_name().map(OsStr::to_owned) else {
            // The reader lets nothing but a folder stand for the root (threat 3).
            self.folders.insert(PathBuf::new(), Some(header));
            return Ok(());
        };
        let parent = header.path.parent().unwrap_or(Path::new(""));
        let parent = follow(parent, |path| self.links.get(path))
            .ok_or_else(|| hostile("its folder is a circle of links"))?;
        self.imply(&parent, &named)?;
        let bytes = name.as_bytes();
        if bytes == OPAQUE {
            self.opaque.insert(parent);
            return Ok(());
        }
        if bytes.starts_with(AUFS) {
            // Notes that a file system of old kept for itself.
            return Ok(());
        }
        if let Some(hidden) = bytes.strip_prefix(WHITEOUT) {
            if matches!(hidden, b"" | b"." | b"..") {
                return Err(hostile("it hides what is not in its folder"));
            }
            self.whiteouts.insert(parent.join(OsStr::from_bytes(hidden)));
            return Ok(());
        }
        let path = parent.join(name);
        if let Kind::CharacterDevice { major: 0, minor: 0 } = header.kind {
            return Err(hostile("it is the device 0:0, which hides files in an overlay"));
        }
        if header.kind == Kind::Folder {
            return self.folder(path, header);
        }
        let link = match &header.kind {
            Kind::HardLink { target } => match self.target(target, &path, &named)? {
                Some(target) => Some(target),
                None => return Ok(()),
            },
            _ => None,
        };
        self.clear(&path)?;
        let made = match &header.kind {
            Kind::File { .. } => self.file(&path, &header, content),
            _ => self.special(&path, &header, link.as_deref()),
        };
        made.map_err(|error| self.fail(&path, error))?;
        if let Kind::Symlink { target } = header.kind {
            self.links.insert(path, target);
        }
        Ok(())
    }

    /// Returns the file of this layer that a hard link names; `None` when it is one of a layer below.
    fn target(&mut self, target: &Path, path: &Path, named: &Path) -> Result<Option<PathBuf>> {
        let name = target.file_name().ok_or_else(|| hostile(named, "it links the root"))?;
        let folder = follow(target.parent().unwrap_or(Path::new("")), |path| self.links.get(path))
            .ok_or_else(|| hostile(named, "its target is a circle of links"))?;
        let target = folder.join(name);
        if target == path {
            return Err(hostile(named, "it is a link to itself"));
        }
        let kind = if self.folders.contains_key(&folder) {
            self.root.kind(&target).map_err(|error| self.fail(path, error))?
        } else {
            None
        };
        match kind {
            Some(FileType::Directory) => Err(hostile(named, "it is a hard link to a folder")),
            Some(_) => Ok(Some(target)),
            None => {
                self.clear(path)?;
                self.result.lower_links.push((path.to_owned(), target));
                Ok(None)
            }
        }
    }

    fn folder(&mut self, path: PathBuf, header: Header) -> Result<()> {
        if !self.folders.contains_key(&path) {
            self.clear(&path)?;
            self.make_folder(&path).map_err(|error| self.fail(&path, error))?;
        }
        self.folders.insert(path, Some(header));
        Ok(())
    }

    fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.root.parent(path)?;
        Ok(rustix::fs::mkdirat(parent, name, Mode::RWXU)?)
    }

    fn imply(&mut self, folder: &Path, named: &Path) -> Result<()> {
        if self.folders.contains_key(folder) {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.imply(parent, named)?;
        }
        if self.root.kind(folder).map_err(|error| self.fail(folder, error))?.is_some() {
            return Err(hostile(named, &format!("`{}` is no folder", folder.display())));
        }
        self.make_folder(folder).map_err(|error| self.fail(folder, error))?;
        self.folders.insert(folder.to_owned(), None);
        Ok(())
    }

    /// Makes room for something that is no folder.
    fn clear(&mut self, path: &Path) -> Result<()> {
        self.links.remove(path);
        self.result.lower_links.retain(|(link, _)| link != path);
        if self.folders.contains_key(path) {
            self.folders.retain(|folder, _| !folder.starts_with(path));
            self.links.retain(|link, _| !link.starts_with(path));
            self.result.lower_links.retain(|(link, _)| !link.starts_with(path));
        }
        self.root.remove(path).map_err(|error| self.fail(path, error))
    }

    fn file(&mut self, path: &Path, header: &Header, content: &mut impl Read) -> io::Result<()> {
        let (parent, name) = self.root.parent(path)?;
        let file = rustix::fs::openat(parent, name, NEW_FILE, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        loop {
            match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => file.write_all(&self.buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.result.size += header.size();
        set_attributes(&file, header, self.owners)?;
        Ok(rustix::fs::futimens(&file, &times(header))?)
    }

    fn special(&mut self, path: &Path, header: &Header, link: Option<&Path>) -> io::Result<()> {
        if let Some(target) = link {
            let (target_parent, target_name) = self.root.parent(target)?;
            let target_parent = target_parent.try_clone()?;
            let (parent, name) = self.root.parent(path)?;
            // Without a flag, a link itself is linked and not what it leads to.
            rustix::fs::linkat(target_parent, target_name, parent, name, AtFlags::empty())?;
            return Ok(());
        }
        let (parent, name) = self.root.parent(path)?;
        let made = match &header.kind {
            Kind::Symlink { target } => rustix::fs::symlinkat(target, parent, name),
            Kind::Fifo => {
                rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            }
            Kind::CharacterDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::RUSR, device)
            }
            Kind::BlockDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                rustix::fs::mknodat(parent, name, FileType::BlockDevice, Mode::RUSR, device)
            }
            Kind::File { .. } | Kind::HardLink { .. } | Kind::Folder => return Ok(()),
        };
        let device = matches!(header.kind, Kind::CharacterDevice { .. } | Kind::BlockDevice { .. });
        match made {
            Err(Errno::PERM) if device => return Ok(()),
            made => made?,
        }
        if self.owners == Owners::Real {
            let (uid, gid) = owner(header);
            rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if !matches!(header.kind, Kind::Symlink { .. }) {
            // What was just made here is no link, and the folder is held open.
            let mode = Mode::from_raw_mode(header.mode);
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
        }
        Ok(rustix::fs::utimensat(parent, name, &times(header), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn finish(mut self) -> Result<Unpacked> {
        for path in std::mem::take(&mut self.whiteouts) {
            self.hide(&path).map_err(|error| self.fail(&path, error))?;
        }
        for path in std::mem::take(&mut self.opaque) {
            if path.as_os_str().is_empty() {
                self.result.opaque_root = true;
            }
            self.hide_below(&path).map_err(|error| self.fail(&path, error))?;
        }
        let folders = std::mem::take(&mut self.folders);
        self.result.has_root = folders.get(Path::new("")).is_some_and(Option::is_some);
        let implied = folders
            .iter()
            .filter(|(path, header)| header.is_none() && !path.as_os_str().is_empty());
        self.result.implied = implied.map(|(path, _)| path.clone()).collect();
        // Last, and the inner ones first: making something in a folder changes its time.
        for (path, header) in folders.into_iter().rev() {
            let header = header.unwrap_or_else(|| Header::new(path.clone(), Kind::Folder, 0o755));
            self.finish_folder(&path, &header).map_err(|error| self.fail(&path, error))?;
        }
        Ok(self.result)
    }

    /// Hides a name of the layers below. What this layer has itself hides it already, unless it is a folder.
    fn hide(&mut self, path: &Path) -> io::Result<()> {
        match self.root.kind(path)? {
            Some(FileType::Directory) => self.hide_below(path),
            Some(_) => Ok(()),
            None => {
                let (parent, name) = self.root.parent(path)?;
                match self.marks {
                    Marks::Trusted | Marks::User => rustix::fs::mknodat(
                        parent,
                        name,
                        FileType::CharacterDevice,
                        Mode::empty(),
                        rustix::fs::makedev(0, 0),
                    )?,
                    Marks::Names => {
                        let name = [WHITEOUT, name.as_bytes()].concat();
                        rustix::fs::openat(parent, &name, NEW_FILE, Mode::RUSR)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn hide_below(&mut self, folder: &Path) -> io::Result<()> {
        let folder = self.root.folder(folder)?;
        match self.marks.opaque_attribute() {
            Some(name) => rustix::fs::fsetxattr(folder, name, b"y", XattrFlags::empty())?,
            None => drop(rustix::fs::openat(folder, OPAQUE, NEW_FILE, Mode::RUSR)?),
        }
        Ok(())
    }

    fn finish_folder(&mut self, path: &Path, header: &Header) -> io::Result<()> {
        let owners = self.owners;
        let folder = self.root.folder(path)?;
        set_attributes(folder, header, owners)?;
        Ok(rustix::fs::futimens(folder, &times(header))?)
    }

    fn fail(&self, path: &Path, error: io::Error) -> Error {
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => cannot_write(&self.destination.join(path), error),
        }
    }
}

fn set_attributes(file: impl AsFd, header: &Header, owners: Owners) -> io::Result<()> {
    match owners {
        Owners::Real => {
            let (uid, gid) = owner(header);
            rustix::fs::fchown(&file, uid, gid)?;
        }
        Owners::Noted if (header.uid, header.gid) != (0, 0) => {
            let noted = format!("{}:{}", header.uid, header.gid);
            rustix::fs::fsetxattr(&file, OWNER_ATTRIBUTE, noted.as_bytes(), XattrFlags::empty())?;
        }
        Owners::Noted => {}
    }
    // After the owner: changing that takes the set-user-id bit and capabilities away.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(header.mode))?;
    for (name, value) in kept_xattrs(&header.xattrs) {
        rustix::fs::fsetxattr(&file, name.as_str(), &value, XattrFlags::empty())?;
    }
    Ok(())
}

fn owner(header: &Header) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(header.uid)), Some(Gid::from_raw(header.gid)))
}

fn times(header: &Header) -> Timestamps {
    let time = Timespec { tv_sec: header.modified.0, tv_nsec: header.modified.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn hostile(path: &Path, cause: &str) -> Error {
    let message = format!("cannot read the layer's entry `{}`", path.display());
    Error::new(ErrorKind::InvalidInput, message).with_cause(cause)
}
