//! Looks through a store: what is there, how large, and when it was used last.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use boxwright_core::Result;
use rustix::fs::FlockOperation;

use super::StorePart;
use crate::failure::on_path;

/// The ways to stack layers up, each with a folder of its own.
const KINDS: [&str; 3] = ["overlay", "userxattr", "copying"];

/// Something of a store that can be removed.
pub(super) struct Thing {
    pub(super) is_layer: bool,
    pub(super) path: PathBuf,
    /// When a step used it last.
    pub(super) used: SystemTime,
    pub(super) bytes: u64,
}

/// Returns the folders of the store, one for each kind.
pub(super) fn kinds(folder: &Path) -> impl Iterator<Item = PathBuf> {
    KINDS.map(|kind| folder.join(kind)).into_iter().filter(|path| path.is_dir())
}

/// Lists the layers and the caches of one kind.
pub(super) fn things(kind: &Path) -> Result<Vec<Thing>> {
    let mut things = Vec::new();
    for (part, is_layer) in [("layers", true), ("caches", false)] {
        for (path, data) in list(&kind.join(part))?.into_iter().filter(|(_, data)| data.is_dir()) {
            // A cache is noted by its lock, since a step may set the time of the folder.
            let noted = match is_layer {
                true => Ok(data),
                false => std::fs::metadata(path.with_extension("lock")),
            };
            let used = noted.and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            let bytes = size(&path).map_err(|error| on_path("cannot read", &path, error))?;
            things.push(Thing { is_layer, path, used, bytes });
        }
    }
    Ok(things)
}

/// Adds the work that no process holds, and what could not be removed before.
pub(super) fn add_leftovers(kind: &Path, part: &mut StorePart) -> Result<()> {
    let held = |path: &Path| {
        File::open(path.join("lock")).is_ok_and(|lock| {
            rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err()
        })
    };
    let mut left = list(&kind.join("work"))?;
    left.retain(|(path, _)| !held(path));
    left.extend(list(&kind.join("trash"))?);
    for (path, _) in left {
        part.add(size(&path).map_err(|error| on_path("cannot read", &path, error))?);
    }
    Ok(())
}

fn list(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>> {
    let list = match std::fs::read_dir(folder) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(on_path("cannot read the folder", folder, error)),
    };
    // One that goes away meanwhile is none.
    let list = list.filter_map(|entry| entry.ok());
    Ok(list.filter_map(|entry| entry.metadata().ok().map(|data| (entry.path(), data))).collect())
}

/// Returns what `path`, and all in it, takes of the disk. A file with several names counts once; one that goes away
/// meanwhile does not.
fn size(path: &Path) -> io::Result<u64> {
    let (mut bytes, mut seen, mut waiting) = (0, BTreeSet::new(), vec![path.to_owned()]);
    while let Some(path) = waiting.pop() {
        let data = match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            data => data?,
        };
        if data.is_dir() {
            match std::fs::read_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Of a folder that this user may not look into, only itself counts.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                list => waiting.extend(list?.filter_map(|entry| entry.ok()).map(|it| it.path())),
            }
        } else if data.nlink() > 1 && !seen.insert((data.dev(), data.ino())) {
            continue;
        }
        bytes += data.blocks() * 512;
    }
    Ok(bytes)
}
