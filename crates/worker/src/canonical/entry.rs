//! One file or folder of a layer's folder.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use boxwright_image::layer::kept_xattrs;
use boxwright_image::overlay::{OWNER_ATTRIBUTE, Owners};
use boxwright_image::tar::{Header, Kind};
use rustix::fs::{AtFlags, CWD, FileType, Timespec, Timestamps};
use rustix::io::Errno;

/// What is at one path of a folder.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// `None` is a socket: no layer has one.
    pub(crate) kind: Option<Kind>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: (i64, u32),
    /// All extended attributes, those of the machine too.
    pub(crate) attributes: BTreeMap<String, Vec<u8>>,
    pub(crate) inode: (u64, u64),
    pub(crate) links: u64,
}

impl Entry {
    /// Returns what is at `path`; a link is not followed.
    pub(crate) fn read(path: &Path, owners: Owners) -> io::Result<Self> {
        let found = std::fs::symlink_metadata(path)?;
        let device = |device: u64| (rustix::fs::major(device), rustix::fs::minor(device));
        let kind = match FileType::from_raw_mode(found.mode()) {
            FileType::RegularFile => Some(Kind::File { size: found.size() }),
            FileType::Directory => Some(Kind::Folder),
            FileType::Symlink => Some(Kind::Symlink { target: std::fs::read_link(path)? }),
            FileType::Fifo => Some(Kind::Fifo),
            FileType::CharacterDevice => {
                let (major, minor) = device(found.rdev());
                Some(Kind::CharacterDevice { major, minor })
            }
            FileType::BlockDevice => {
                let (major, minor) = device(found.rdev());
                Some(Kind::BlockDevice { major, minor })
            }
            _ => None,
        };
        let attributes = attributes(path)?;
        let noted = match owners {
            Owners::Noted => attributes.get(OWNER_ATTRIBUTE).and_then(|noted| owner(noted)),
            Owners::Real => None,
        };
        let (uid, gid) = noted.unwrap_or((found.uid(), found.gid()));
        Ok(Self {
            kind,
            mode: found.mode() & 0o7777,
            uid,
            gid,
            modified: (found.mtime(), u32::try_from(found.mtime_nsec()).unwrap_or_default()),
            attributes,
            inode: (found.dev(), found.ino()),
            links: found.nlink(),
        })
    }

    /// Returns what is at `path`, if something is.
    pub(crate) fn find(path: &Path, owners: Owners) -> io::Result<Option<Self>> {
        match Self::read(path, owners) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.kind == Some(Kind::Folder)
    }

    /// Returns whether it is the device 0:0, with which overlayfs hides a name.
    pub(crate) fn is_whiteout(&self) -> bool {
        self.kind == Some(Kind::CharacterDevice { major: 0, minor: 0 })
    }

    /// Returns whether both are equal in all that a layer says, but for times and the content of files.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let mode = |entry: &Self| match entry.kind {
            Some(Kind::Symlink { .. }) => 0,
            _ => entry.mode,
        };
        self.kind == other.kind
            && mode(self) == mode(other)
            && (self.uid, self.gid) == (other.uid, other.gid)
            && kept_xattrs(&self.attributes) == kept_xattrs(&other.attributes)
    }

    /// Returns its entry in a tar.
    pub(crate) fn header(&self, path: PathBuf, kind: Kind) -> Header {
        Header {
            path,
            kind,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            modified: self.modified,
            xattrs: self.attributes.clone(),
        }
    }

    /// Removes the attributes that no layer has from the file at `path`.
    pub(crate) fn clean(&self, path: &Path) -> io::Result<()> {
        let kept = kept_xattrs(&self.attributes);
        for name in self.attributes.keys() {
            // What the machine's own rules put there comes back by itself.
            let of_machine = name.starts_with("security.") || name == OWNER_ATTRIBUTE;
            if !kept.contains_key(name) && !of_machine {
                match rustix::fs::lremovexattr(path, name.as_str()) {
                    Ok(()) | Err(Errno::NODATA) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

/// Returns whether two files of one size have one content.
pub(super) fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    use io::Read as _;
    let (mut one, mut other) = (open(one)?, open(other)?);
    let (mut first, mut second) = (vec![0; 128 << 10], vec![0; 128 << 10]);
    loop {
        let count = one.read(&mut first)?;
        if count == 0 {
            return Ok(other.read(&mut second[..1])? == 0);
        }
        match other.read_exact(&mut second[..count]) {
            Ok(()) if first[..count] == second[..count] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// Opens a regular file; a link in its place is not followed, and a pipe not waited for.
pub(super) fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// Sets when the file at `path` changed last; a link is not followed.
pub(super) fn set_time(path: &Path, (seconds, nanoseconds): (i64, u32)) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Gives what is at `path` all that `entry` says.
pub(crate) fn set_attributes(path: &Path, entry: &Entry, owners: Owners) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::XattrFlags;
    let is_link = matches!(entry.kind, Some(Kind::Symlink { .. }));
    let notes = matches!(entry.kind, Some(Kind::Folder | Kind::File { .. }));
    match owners {
        Owners::Real => std::os::unix::fs::lchown(path, Some(entry.uid), Some(entry.gid))?,
        Owners::Noted if notes && (entry.uid, entry.gid) != (0, 0) => {
            let noted = format!("{}:{}", entry.uid, entry.gid);
            rustix::fs::lsetxattr(path, OWNER_ATTRIBUTE, noted.as_bytes(), XattrFlags::empty())?;
        }
        Owners::Noted => {}
    }
    if !is_link {
        // After the owner: changing that takes the set-user-id bit and capabilities away.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(entry.mode))?;
    }
    for (name, value) in kept_xattrs(&entry.attributes) {
        rustix::fs::lsetxattr(path, name.as_str(), &value, XattrFlags::empty())?;
    }
    set_time(path, entry.modified)
}

fn attributes(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut names = Vec::with_capacity(1024);
    loop {
        match rustix::fs::llistxattr(path, rustix::buffer::spare_capacity(&mut names)) {
            Ok(_) => break,
            Err(Errno::RANGE) if names.capacity() <= 64 << 10 => {
                names.reserve(names.capacity() * 2)
            }
            Err(Errno::OPNOTSUPP) => return Ok(BTreeMap::new()),
            Err(error) => return Err(error.into()),
        }
    }
    let mut all = BTreeMap::new();
    let mut rest = &names[..];
    while let Ok(name) = CStr::from_bytes_until_nul(rest) {
        rest = &rest[name.count_bytes() + 1..];
        let mut value = Vec::with_capacity(256);
        loop {
            match rustix::fs::lgetxattr(path, name, rustix::buffer::spare_capacity(&mut value)) {
                Ok(_) => break,
                Err(Errno::RANGE) if value.capacity() <= 64 << 10 => {
                    value.reserve(value.capacity() * 2);
                }
                Err(error) => return Err(error.into()),
            }
        }
        all.insert(name.to_string_lossy().into_owned(), value);
    }
    Ok(all)
}

fn owner(noted: &[u8]) -> Option<(u32, u32)> {
    let (uid, gid) = std::str::from_utf8(noted).ok()?.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

/// Returns the names in a folder, in the order of their bytes.
pub(crate) fn names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names = entries.collect::<io::Result<Vec<_>>>()?;
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(names)
}
