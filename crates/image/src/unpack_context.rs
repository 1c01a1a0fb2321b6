//! Unpacks a build context that came as a tar: names are resolved step by step from a folder that was opened
//! once, and no step follows a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use boxwright_core::{ByteStream, Error, ErrorKind, Result};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::decompress::decompress;
use crate::layout::cannot_write;
use crate::pipe::read_blocking;
use crate::tar::{Header, Kind, Limits, Reader};

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Unpacks a tar, plain or compressed with gzip, bzip2, xz or zstd, into the folder `destination`. Modes and times
/// are kept; everything belongs to the caller, since in a build context owners do not count. A later entry takes the
/// place of an earlier one.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when an entry is hostile, leads through a link, or is a device; [`ErrorKind::Protocol`]
/// when it is no tar; [`ErrorKind::Exhausted`] when a limit is exceeded or the disk is full.
pub async fn unpack_context(stream: ByteStream, destination: &Path) -> Result<()> {
    let destination = destination.to_owned();
    read_blocking(stream, move |reader| {
        let limits = Limits::default();
        let (_, plain) = decompress(reader, &limits)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&destination, flags, Mode::empty())
            .map_err(|error| cannot_write(&destination, error.into()))?;
        let mut unpacker = Unpacker { destination: &destination, root, folders: Vec::new() };
        let mut reader = Reader::new(plain, limits);
        while let Some(header) = reader.next_entry()? {
            unpacker.entry(&header, &mut reader)?;
        }
        unpacker.finish_folders()
    })
    .await
}

struct Unpacker<'d> {
    destination: &'d Path,
    root: OwnedFd,
    /// Folders whose mode and time are set last: making something in them changes the one and needs the other.
    folders: Vec<Header>,
}

impl Unpacker<'_> {
    fn entry(&mut self, header: &Header, content: &mut impl Read) -> Result<()> {
        // The root's own mode and time do not count.
        if header.path.as_os_str().is_empty() {
            return Ok(());
        }
        let made = match &header.kind {
            Kind::Folder => {
                self.folders.push(header.clone());
                self.open_folder(&header.path).map(drop)
            }
            Kind::File { .. } => return self.file(header, content),
            Kind::Symlink { target } => self.at(&header.path, |parent, name| {
                rustix::fs::symlinkat(target, parent, name)?;
                set_times(parent, name, header)
            }),
            Kind::HardLink { target } => self.hard_link(&header.path, target),
            Kind::Fifo => self.at(&header.path, |parent, name| {
                let mode = Mode::from_raw_mode(header.mode);
                Ok(rustix::fs::mknodat(parent, name, rustix::fs::FileType::Fifo, mode, 0)?)
            }),
            Kind::CharacterDevice { .. } | Kind::BlockDevice { .. } => {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!("`{}` of the context is a device", header.path.display()),
                )
                .with_remedy(
                    "leave it out of the tar; devices are made by the engine that runs the image",
                ));
            }
        };
        made.map_err(|error| self.fail(&header.path, error))
    }

    fn file(&self, header: &Header, content: &mut impl Read) -> Result<()> {
        let create = |parent: &OwnedFd, name: &OsStr| {
            let mode = Mode::RUSR | Mode::WUSR;
            Ok(File::from(rustix::fs::openat(parent, name, NEW_FILE, mode)?))
        };
        let mut file =
            self.at(&header.path, create).map_err(|error| self.fail(&header.path, error))?;
        let written = io::copy(content, &mut file).and_then(|_| {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(header.mode))?;
            Ok(rustix::fs::futimens(&file, &times(header))?)
        });
        written.map_err(|error| match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => self.fail(&header.path, error),
        })
    }

    fn hard_link(&self, path: &Path, target: &Path) -> io::Result<()> {
        let (folder, first) = self.parent(target)?;
        self.at(path, |parent, name| {
            // No flag: a link is linked to itself, not to where it points.
            Ok(rustix::fs::linkat(&folder, first, parent, name, AtFlags::empty())?)
        })
    }

    /// Makes room for `path`, then has `make` make it.
    fn at<T>(
        &self,
        path: &Path,
        make: impl FnOnce(&OwnedFd, &OsStr) -> io::Result<T>,
    ) -> io::Result<T> {
        let (parent, name) = self.parent(path)?;
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?,
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        make(&parent, name)
    }

    fn parent<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let folder = self.open_folder(path.parent().unwrap_or(Path::new("")))?;
        Ok((folder, path.file_name().unwrap_or_default()))
    }

    /// Opens a folder below the root, and makes those on the way that are missing.
    fn open_folder(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut folder = self.root.try_clone()?;
        for part in path {
            folder = match rustix::fs::openat(&folder, part, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(
                        &folder,
                        part,
                        Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH,
                    )?;
                    rustix::fs::openat(&folder, part, FOLDER, Mode::empty())?
                }
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    let what = format!(
                        "`{}` is on its way, and is a link or a file",
                        PathBuf::from(part).display()
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
                }
                other => other?,
            };
        }
        Ok(folder)
    }

    fn finish_folders(&mut self) -> Result<()> {
        // The inner ones first, by the length of their paths: a later entry of one folder still wins.
        let mut folders = std::mem::take(&mut self.folders);
        folders.sort_by_key(|header| std::cmp::Reverse(header.path.components().count()));
        for header in folders {
            // One whose place something else took has nothing to be set.
            let Ok(folder) = self.open_folder(&header.path) else { continue };
            // A folder that its owner cannot enter could be neither read nor removed.
            let mode = Mode::from_raw_mode(header.mode) | Mode::RWXU;
            rustix::fs::fchmod(&folder, mode)
                .and_then(|()| rustix::fs::futimens(&folder, &times(&header)))
                .map_err(|error| self.fail(&header.path, error.into()))?;
        }
        Ok(())
    }

    fn fail(&self, path: &Path, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::InvalidInput
            | io::ErrorKind::NotFound
            | io::ErrorKind::DirectoryNotEmpty => {
                let message = format!("cannot unpack `{}` of the context", path.display());
                Error::new(ErrorKind::InvalidInput, message).with_source(error)
            }
            _ => cannot_write(&self.destination.join(path), error),
        }
    }
}

fn times(header: &Header) -> Timestamps {
    let time = Timespec { tv_sec: header.modified.0, tv_nsec: header.modified.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn set_times(parent: &OwnedFd, name: &OsStr, header: &Header) -> io::Result<()> {
    Ok(rustix::fs::utimensat(parent, name, &times(header), AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::Writer;
    use std::io::Cursor;

    async fn unpacked(entries: &[(Header, &[u8])]) -> (tempfile::TempDir, Result<()>) {
        let mut writer = Writer::new(Vec::new());
        for (header, content) in entries {
            match header.kind {
                Kind::File { .. } => writer.file(header, &mut &content[..]).unwrap(),
                _ => writer.header(header).unwrap(),
            }
        }
        let tar = writer.finish().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        let result = unpack_context(Box::new(Cursor::new(tar)), &folder.path().join("root")).await;
        (folder, result)
    }

    fn file(path: &str, content: &[u8]) -> Header {
        Header::new(path, Kind::File { size: content.len() as u64 }, 0o640)
    }

    #[tokio::test]
    async fn files_keep_mode_and_time_and_later_ones_win() {
        let mut late = file("a/b", b"two");
        late.modified = (1_500_000_000, 7);
        let folder_header = Header::new("a", Kind::Folder, 0o750);
        let link = Header::new("a/again", Kind::HardLink { target: "a/b".into() }, 0o640);
        let entries =
            [(file("a/b", b"one"), &b"one"[..]), (folder_header, b""), (late, b"two"), (link, b"")];
        let (folder, result) = unpacked(&entries).await;
        result.unwrap();
        use std::os::unix::fs::MetadataExt as _;
        let data = std::fs::metadata(folder.path().join("root/a/again")).unwrap();
        assert_eq!(
            (data.mode() & 0o7777, data.mtime(), data.mtime_nsec()),
            (0o640, 1_500_000_000, 7)
        );
        assert_eq!(std::fs::read(folder.path().join("root/a/b")).unwrap(), b"two");
        assert_eq!(std::fs::metadata(folder.path().join("root/a")).unwrap().mode() & 0o7777, 0o750);
    }

    #[tokio::test]
    async fn nothing_is_written_through_a_link_threat_2() {
        let link = Header::new("way", Kind::Symlink { target: "..".into() }, 0o777);
        let (folder, result) = unpacked(&[(link, b""), (file("way/out", b"x"), b"x")]).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("way/out"), "{error}");
        assert!(!folder.path().join("out").exists());
    }

    #[tokio::test]
    async fn a_hard_link_to_what_is_not_there_is_refused_threat_6() {
        let link = Header::new("passwd", Kind::HardLink { target: "etc/passwd".into() }, 0o644);
        let (_folder, result) = unpacked(&[(link, b"")]).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
