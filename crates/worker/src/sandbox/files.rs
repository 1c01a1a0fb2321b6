//! What a step finds mounted: the kernel's file systems, devices, and what it asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use boxwright_core::confinement::{MASKED_PATHS, READ_ONLY_PATHS};
use boxwright_core::{Error, ErrorKind, Result, Secret};
use rustix::fs::FileType;
use rustix::mount::MountAttrFlags;

use super::plan::{Network, Plan, Source};
use super::target::{Root, Shape};
use crate::failure::{on_path, system};
use crate::mount::{Detached, INERT};

/// The options of a file system.
type Options<'o> = &'o [(&'o str, &'o str)];

const READ_ONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;
const NO_PROGRAMS: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;

const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Where distributions keep the certificates that programs trust.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The variables by which programs are told where certificates are.
const BUNDLE_VARIABLES: &[&str] = &[
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
];

/// Where a step finds the certificates by those variables: in its own `/dev`, so that nothing of it is in the image.
const BUNDLE: &str = "/dev/boxwright-ca-bundle.crt";

/// Mounts everything below `root`. The thread is in the step's namespaces, and still outside of its root.
pub(super) fn mount_all(
    plan: &Plan,
    contents: &[Secret],
    root: &mut Root,
    environment: &mut BTreeMap<String, String>,
) -> Result<()> {
    proc(root)?;
    sys(plan, root)?;
    let devices = dev(plan, root)?;
    if let Some(number) = plan.certificates {
        certificates(plan, content(contents, number)?, root, &devices)?;
        for name in BUNDLE_VARIABLES {
            environment.entry((*name).to_owned()).or_insert_with(|| BUNDLE.to_owned());
        }
    }
    // What is above another mount comes before it.
    let mut mounts: Vec<_> = plan.mounts.iter().enumerate().collect();
    mounts.sort_by_key(|(_, mount)| Path::new(&mount.target).components().count());
    for (number, mount) in mounts {
        let made = user_mount(plan, contents, root, number, mount.target.as_str(), &mount.source);
        made.map_err(|error| match error.kind() {
            ErrorKind::InvalidInput => error,
            _ => error.with_context("mount", mount.target.clone()),
        })?;
    }
    Ok(())
}

fn proc(root: &mut Root) -> Result<()> {
    let target = root.place("/proc", Shape::Folder)?;
    let mounted =
        Detached::new("proc", &[], INERT | NO_PROGRAMS).and_then(|proc| proc.attach_to(&target));
    mounted.map_err(|error| system("cannot mount `/proc`", error))?;
    for path in READ_ONLY_PATHS {
        cover(root, path, |found| {
            Detached::bind_open(found)?.restrict(INERT | NO_PROGRAMS | READ_ONLY)
        })?;
    }
    mask(root, "/proc")
}

fn sys(plan: &Plan, root: &mut Root) -> Result<()> {
    let target = root.place("/sys", Shape::Folder)?;
    let attributes = INERT | NO_PROGRAMS | READ_ONLY;
    let own = plan.network != Network::Worker;
    let made = match Detached::new("sysfs", &[], attributes) {
        // A network that belongs to others shows only a view that was made by them.
        Err(_) if !own => {
            Detached::bind_recursive(Path::new("/sys")).and_then(|sys| sys.restrict(attributes))
        }
        made => made,
    };
    made.and_then(|sys| sys.attach_to(&target))
        .map_err(|error| system("cannot mount `/sys`", error))?;
    mask(root, "/sys")
}

fn mask(root: &mut Root, below: &str) -> Result<()> {
    for path in MASKED_PATHS.iter().filter(|path| path.starts_with(below)) {
        cover(root, path, |found| {
            let stat = rustix::fs::fstat(found)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let options = [("size", "0"), ("nr_inodes", "1"), ("mode", "755")];
                Detached::new("tmpfs", &options, INERT | NO_PROGRAMS | READ_ONLY)
            } else {
                Detached::bind(Path::new("/dev/null"))
            }
        })?;
    }
    Ok(())
}

/// Mounts what `make` gives over `path`, if something is there.
fn cover(
    root: &mut Root,
    path: &str,
    make: impl Fn(&OwnedFd) -> io::Result<Detached>,
) -> Result<()> {
    let covered = root.find(path).and_then(|found| match found {
        Some(found) => make(&found)?.attach_to(&found),
        None => Ok(()),
    });
    covered.map_err(|error| system(&format!("cannot cover `{path}`"), error))
}

/// Makes a `/dev` of the step's own, and returns it.
fn dev(plan: &Plan, root: &mut Root) -> Result<OwnedFd> {
    let target = root.place("/dev", Shape::Folder)?;
    let fail = |what: &str| {
        let message = format!("cannot make `/dev{what}`");
        move |error: io::Error| system(&message, error)
    };
    Detached::new("tmpfs", &[("size", "65536k"), ("mode", "755")], INERT)
        .and_then(|dev| dev.attach_to(&target))
        .map_err(fail(""))?;
    let folder = root.place("/dev", Shape::Folder)?;
    let path = fd_path(&folder);
    for name in DEVICES {
        let bind = || {
            let device = Path::new("/dev").join(name);
            if !device.exists() {
                // A container or an instance may have none.
                return Ok(());
            }
            let place = path.join(name);
            File::create_new(&place)?;
            Detached::bind(&device)?.attach(&place)
        };
        bind().map_err(fail(&format!("/{name}")))?;
    }
    for (name, to) in LINKS {
        std::os::unix::fs::symlink(to, path.join(name)).map_err(fail(&format!("/{name}")))?;
    }
    let shm = plan.shm_size.to_string();
    let mut pts = vec![("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")];
    if plan.has_owners {
        pts.push(("gid", "5"));
    }
    let own: [(&str, &str, Options<'_>, MountAttrFlags); 3] = [
        ("pts", "devpts", &pts, MountAttrFlags::MOUNT_ATTR_NOSUID | NO_PROGRAMS),
        ("shm", "tmpfs", &[("size", &shm), ("mode", "1777")], INERT | NO_PROGRAMS),
        ("mqueue", "mqueue", &[], INERT | NO_PROGRAMS),
    ];
    for (name, kind, options, attributes) in own {
        let mount = || {
            let place = path.join(name);
            std::fs::create_dir(&place)?;
            Detached::new(kind, options, attributes)?.attach(&place)
        };
        mount().map_err(fail(&format!("/{name}")))?;
    }
    Ok(folder)
}

/// Lets the step trust `own` beside what its image trusts.
fn certificates(plan: &Plan, own: &Secret, root: &mut Root, devices: &OwnedFd) -> Result<()> {
    // Programs that are told of a file by a variable trust what is in it, and nothing else.
    let mut first = None;
    let mut covered = Vec::new();
    for (number, path) in BUNDLES.iter().enumerate() {
        let fail = |error| system(&format!("cannot add certificates to `{path}`"), error);
        let Some(found) = root.find(path).map_err(fail)? else { continue };
        let stat = rustix::fs::fstat(&found).map_err(|error| fail(error.into()))?;
        // One may be a link to another, which is covered by then.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
            || covered.contains(&(stat.st_dev, stat.st_ino))
        {
            continue;
        }
        let both = || {
            let mut all = Vec::new();
            File::open(fd_path(&found))?.take(16 << 20).read_to_end(&mut all)?;
            all.push(b'\n');
            all.extend(own.expose());
            Ok(all)
        };
        let all = both().map_err(fail)?;
        let place = scratch(plan).join(format!("bundle-{number}"));
        write_file(&place, &all, 0o444)?;
        let stat = rustix::fs::stat(&place).map_err(|error| fail(error.into()))?;
        covered.push((stat.st_dev, stat.st_ino));
        Detached::bind(&place).and_then(|bundle| bundle.attach_to(&found)).map_err(fail)?;
        first.get_or_insert(all);
    }
    let place = fd_path(devices).join(Path::new(BUNDLE).file_name().unwrap_or_default());
    write_file(&place, first.as_deref().unwrap_or(own.expose()), 0o444)
}

fn user_mount(
    plan: &Plan,
    contents: &[Secret],
    root: &mut Root,
    number: usize,
    target: &str,
    source: &Source,
) -> Result<()> {
    let fail = |error: io::Error| system(&format!("cannot mount at `{target}`"), error);
    let (mount, shape) = match source {
        Source::Layers { path, writable, .. } => {
            let stack = plan.store.join(&plan.work).join(stack_name(number));
            let found = inside(&stack, path)?;
            let stat = rustix::fs::fstat(&found).map_err(|error| fail(error.into()))?;
            let shape = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Shape::Folder,
                _ => Shape::File,
            };
            let attributes = if *writable { INERT } else { INERT | READ_ONLY };
            (Detached::bind_open(&found).and_then(|mount| mount.restrict(attributes)), shape)
        }
        Source::Folder { path, writable, .. } => {
            let attributes = if *writable { INERT } else { INERT | READ_ONLY };
            let folder = plan.store.join(path);
            let mount = Detached::bind(&folder).and_then(|mount| mount.restrict(attributes));
            (mount, Shape::Folder)
        }
        Source::Tmpfs { size } => {
            let size = size.map(|size| size.to_string());
            let mut options = vec![("mode", "1777")];
            options.extend(size.as_deref().map(|size| ("size", size)));
            (Detached::new("tmpfs", &options, INERT), Shape::Folder)
        }
        Source::File { content: file, mode, owner, writable } => {
            let place = scratch(plan).join(format!("file-{number}"));
            write_file(&place, content(contents, *file)?.expose(), *mode)?;
            give(plan, &place, *owner, *mode)?;
            let attributes = if *writable { INERT } else { INERT | READ_ONLY };
            (Detached::bind(&place).and_then(|mount| mount.restrict(attributes)), Shape::File)
        }
        Source::Socket { path, mode, owner } => {
            give(plan, path, *owner, *mode)?;
            (Detached::bind(path).and_then(|mount| mount.restrict(INERT)), Shape::File)
        }
    };
    let mount = mount.map_err(fail)?;
    mount.attach_to(root.place(target, shape)?).map_err(fail)
}

/// The folder that the layers of a mount are stacked up in, in that of the step.
pub(super) fn stack_name(mount: usize) -> String {
    format!("mount-{mount}")
}

/// The folder in memory that files for the step are made in.
pub(super) fn scratch(plan: &Plan) -> PathBuf {
    plan.store.join(&plan.work).join("scratch")
}

/// Opens what is at `path` in the root `stack`, wherever links lead inside of it.
pub(super) fn inside(stack: &Path, path: &str) -> Result<OwnedFd> {
    Root::open(stack)?.find(path).map_err(|error| on_path("cannot open", stack, error))?.ok_or_else(
        || {
            Error::new(ErrorKind::NotFound, format!("cannot mount `{path}`"))
                .with_cause("there is no such file or folder in what it is mounted from")
        },
    )
}

/// Gives a file the owner and the mode that were asked for.
pub(super) fn give(plan: &Plan, path: &Path, owner: (u32, u32), mode: u32) -> Result<()> {
    if plan.has_owners {
        std::os::unix::fs::lchown(path, Some(owner.0), Some(owner.1))
            .map_err(|error| on_path("cannot give away", path, error))?;
    } else if owner != (0, 0) {
        return Err(Error::new(ErrorKind::Unsupported, "cannot give a mount another owner")
            .with_cause("only one user id is to be had here")
            .with_remedy("install `uidmap` and give this user a range in `/etc/subuid`"));
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| on_path("cannot set the mode of", path, error))
}

fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let write = || {
        let mut file = File::options().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))
    };
    write().map_err(|error| on_path("cannot write to", path, error))
}

fn content(contents: &[Secret], number: usize) -> Result<&Secret> {
    contents
        .get(number)
        .ok_or_else(|| Error::new(ErrorKind::Bug, "a content of the step is missing"))
}

/// Returns a path that leads to an open folder, whatever is at its place in the file system.
fn fd_path(file: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}
