//! Mounts, made detached and attached through descriptors. Needs Linux 5.12.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_image::overlay::Marks;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags,
};

use crate::failure::{on_path, system};
use crate::syscalls::set_mount_attributes;

/// Nothing on it is a device, and no program on it gives rights.
pub(crate) const INERT: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NODEV.union(MountAttrFlags::MOUNT_ATTR_NOSUID);

/// Makes what is mounted from now on in this mount namespace unseen elsewhere, and the other way round.
pub(crate) fn make_private() -> Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags)
        .map_err(|error| system("cannot make the mounts private", error))
}

/// A mount that is nowhere yet.
#[derive(Debug)]
pub(crate) struct Detached(OwnedFd);

impl Detached {
    /// Makes a file system of `kind` with `options`; one without a value is a flag.
    pub(crate) fn new(
        kind: &str,
        options: &[(&str, &str)],
        attributes: MountAttrFlags,
    ) -> io::Result<Self> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (name, value) in options {
            if value.is_empty() {
                rustix::mount::fsconfig_set_flag(&context, *name)?;
            } else {
                rustix::mount::fsconfig_set_string(&context, *name, *value)?;
            }
        }
        Self::from_context(&context, attributes)
    }

    fn from_context(context: &OwnedFd, attributes: MountAttrFlags) -> io::Result<Self> {
        rustix::mount::fsconfig_create(context)?;
        let mount = rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        Ok(Self(mount))
    }

    /// Shows the file or folder `path` elsewhere too.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        Self::clone_of(CWD, path, OpenTreeFlags::empty())
    }

    /// Shows the folder `path` and what is mounted below it elsewhere too.
    pub(crate) fn bind_recursive(path: &Path) -> io::Result<Self> {
        Self::clone_of(CWD, path, OpenTreeFlags::AT_RECURSIVE)
    }

    /// Shows an open file or folder elsewhere too.
    pub(crate) fn bind_open(file: impl AsFd) -> io::Result<Self> {
        Self::clone_of(file, Path::new(""), OpenTreeFlags::AT_EMPTY_PATH)
    }

    fn clone_of(folder: impl AsFd, path: &Path, flags: OpenTreeFlags) -> io::Result<Self> {
        let flags = flags | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        Ok(Self(rustix::mount::open_tree(folder, path, flags)?))
    }

    /// Restricts the mount and those below it.
    pub(crate) fn restrict(self, attributes: MountAttrFlags) -> io::Result<Self> {
        set_mount_attributes(&self.0, u64::from(attributes.bits()))?;
        Ok(self)
    }

    /// Puts it over the open file or folder `target`.
    pub(crate) fn attach_to(&self, target: impl AsFd) -> io::Result<()> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        Ok(rustix::mount::move_mount(&self.0, "", target, "", flags)?)
    }

    /// Puts it over `target`.
    pub(crate) fn attach(&self, target: &Path) -> io::Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        Ok(rustix::mount::move_mount(&self.0, "", CWD, target, flags)?)
    }
}

impl AsFd for Detached {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Layers that are stacked up.
#[derive(Debug)]
pub(crate) struct Overlay<'o> {
    /// The folder that the others are below. Becomes the thread's working directory: options are short.
    pub(crate) base: &'o Path,
    /// The layers, uppermost first, below the base.
    pub(crate) lower: &'o [PathBuf],
    /// The folder that takes what changes, and the one that overlayfs works in, below the base.
    pub(crate) upper: Option<(&'o Path, &'o Path)>,
    /// How the layers say what they hide.
    pub(crate) marks: Marks,
    /// A folder below the base that does not exist yet, for short names where they are needed.
    pub(crate) names: &'o Path,
}

/// The most layers that overlayfs stacks up: `OVL_MAX_STACK` of Linux, `fs/overlayfs/params.h`.
const MOST_LAYERS: usize = 500;

/// What makes the bytes of a layer depend on nothing but the files. `nofollow` makes no redirects, as `off` does,
/// and follows none either; with `userxattr` it is the only one that is taken. `volatile` is for speed: without it, the whole
/// disk is flushed whenever a step ends.
const FIXED: &str = "index=off,redirect_dir=nofollow,metacopy=off";

impl Overlay<'_> {
    /// Mounts it over the folder `target`.
    pub(crate) fn mount(&self, target: &Path) -> Result<()> {
        if self.lower.len() > MOST_LAYERS {
            let cause =
                format!("it has {} layers, and overlayfs takes {MOST_LAYERS}", self.lower.len());
            return Err(Error::new(ErrorKind::Unsupported, "cannot stack up the image's layers")
                .with_cause(cause)
                .with_remedy("build the base image again with fewer layers"));
        }
        rustix::process::chdir(self.base)
            .map_err(|error| on_path("cannot enter", self.base, error))?;
        match self.detached() {
            Ok(mount) => mount.attach(target),
            // Linux before 6.7 takes no layer by itself.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                self.mount_by_names(target)
            }
            Err(error) => Err(error),
        }
        .map_err(|error| on_path("cannot stack up layers in", target, error))
    }

    fn detached(&self) -> io::Result<Detached> {
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for lower in self.lower {
            rustix::mount::fsconfig_set_string(&context, "lowerdir+", lower)?;
        }
        if let Some((upper, work)) = self.upper {
            rustix::mount::fsconfig_set_string(&context, "upperdir", upper)?;
            rustix::mount::fsconfig_set_string(&context, "workdir", work)?;
            rustix::mount::fsconfig_set_flag(&context, "volatile")?;
        }
        for option in FIXED.split(',') {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            rustix::mount::fsconfig_set_string(&context, name, value)?;
        }
        if self.marks == Marks::User {
            rustix::mount::fsconfig_set_flag(&context, "userxattr")?;
        }
        Detached::from_context(&context, MountAttrFlags::MOUNT_ATTR_NODEV)
    }

    /// Mounts it as Linux before 6.7 does: all options in one page, so that layers need short names.
    fn mount_by_names(&self, target: &Path) -> io::Result<()> {
        std::fs::create_dir(self.names)?;
        let mut options = String::from("lowerdir=");
        for (number, lower) in self.lower.iter().enumerate() {
            std::os::unix::fs::symlink(self.base.join(lower), self.names.join(number.to_string()))?;
            options += &if number == 0 { String::from("0") } else { format!(":{number}") };
        }
        if let Some((upper, work)) = self.upper {
            for (name, path) in [("upper", upper), ("work", work)] {
                std::os::unix::fs::symlink(self.base.join(path), self.names.join(name))?;
            }
            options += ",upperdir=upper,workdir=work,volatile";
        }
        options = format!("{options},{FIXED}");
        if self.marks == Marks::User {
            options += ",userxattr";
        }
        rustix::process::chdir(self.names)?;
        let options = std::ffi::CString::new(options)?;
        let mounted =
            rustix::mount::mount("overlay", target, "overlay", MountFlags::NODEV, &*options);
        rustix::process::chdir(self.base)?;
        Ok(mounted?)
    }
}
