//! Copies files with all that a layer says about them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use boxwright_core::Result;
use boxwright_image::overlay::{Marks, Owners};
use boxwright_image::tar::Kind;
use rustix::fs::{CWD, FileType, Mode};
use rustix::io::Errno;

use crate::canonical::{Entry, Found, Lower, names, set_attributes};
use crate::failure::on_path;

/// Copies what is in the open folder `from` into the folder `to`.
pub(crate) fn copy_tree(from: &OwnedFd, to: &Path, owners: Owners) -> Result<()> {
    let from = PathBuf::from(format!("/proc/self/fd/{}", from.as_raw_fd()));
    copy_folder(&from, to, owners).map_err(|error| on_path("cannot copy to", to, error))
}

fn copy_folder(from: &Path, to: &Path, owners: Owners) -> io::Result<()> {
    for name in names(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        let entry = Entry::read(&from, owners)?;
        if make(&from, &to, &entry)? {
            if entry.is_folder() {
                copy_folder(&from, &to, owners)?;
            }
            set_attributes(&to, &entry, owners)?;
        }
    }
    Ok(())
}

/// Copies one file of the layers below to `to`.
pub(crate) fn copy_one(found: &Found, to: &Path, owners: Owners) -> io::Result<()> {
    if make(&found.path, to, &found.entry)? {
        set_attributes(to, &found.entry, owners)?;
    }
    Ok(())
}

/// Copies layers, uppermost first and below `store`, into the folder `to`, one over the other. Names of one file
/// become files of their own, as overlayfs has it for a file that is written to.
pub(crate) fn stack(store: &Path, layers: &[PathBuf], to: &Path, owners: Owners) -> Result<()> {
    let folders = layers.iter().map(|layer| store.join(layer)).collect();
    let lower = Lower::new(folders, Marks::Names, owners);
    copy_lower(&lower, to, owners).map_err(|error| on_path("cannot copy to", to, error))
}

fn copy_lower(lower: &Lower, to: &Path, owners: Owners) -> io::Result<()> {
    for name in lower.names()? {
        let Some(found) = lower.find(&name)? else { continue };
        let to = to.join(&name);
        if make(&found.path, &to, &found.entry)? {
            if found.entry.is_folder() {
                copy_lower(&found.below, &to, owners)?;
            }
            set_attributes(&to, &found.entry, owners)?;
        }
    }
    Ok(())
}

/// Makes what `entry` is at `to`, still without its attributes. Returns `false` for what cannot be made here.
fn make(from: &Path, to: &Path, entry: &Entry) -> io::Result<bool> {
    let special = |kind, device| match rustix::fs::mknodat(CWD, to, kind, Mode::RUSR, device) {
        Ok(()) => Ok(true),
        // A step has its own `/dev`.
        Err(Errno::PERM) => Ok(false),
        Err(error) => Err(error.into()),
    };
    match &entry.kind {
        Some(Kind::Folder) => std::fs::create_dir(to)?,
        Some(Kind::Symlink { target }) => std::os::unix::fs::symlink(target, to)?,
        Some(Kind::Fifo) => return special(FileType::Fifo, 0),
        Some(Kind::CharacterDevice { major, minor }) => {
            return special(FileType::CharacterDevice, rustix::fs::makedev(*major, *minor));
        }
        Some(Kind::BlockDevice { major, minor }) => {
            return special(FileType::BlockDevice, rustix::fs::makedev(*major, *minor));
        }
        Some(Kind::File { .. } | Kind::HardLink { .. }) => {
            let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
            let mut from = File::options().read(true).custom_flags(flags).open(from)?;
            io::copy(&mut from, &mut File::create_new(to)?)?;
        }
        None => return Ok(false),
    }
    Ok(true)
}
