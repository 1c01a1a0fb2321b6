//! What a store takes, and how it becomes smaller.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use boxwright_core::Result;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::measure::{add_leftovers, kinds, things};
use super::work;
use crate::failure::on_path;

/// Held by everyone who uses the store, and alone by who removes something.
const IN_USE: &str = "use.lock";
/// A file whose time is when the store was pruned last by itself.
const STAMP: &str = "pruned";

const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// How much of a store something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorePart {
    /// How many of them.
    pub count: u64,
    /// What they take of the disk, in bytes.
    pub bytes: u64,
}

/// What a store takes, by what it is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreUsage {
    /// Layers, unpacked to be stacked up. They can be unpacked again.
    pub layers: StorePart,
    /// Folders of `RUN --mount=type=cache`.
    pub caches: StorePart,
    /// Work of steps that were killed. Whoever uses the store next removes it.
    pub leftovers: StorePart,
}

impl StoreUsage {
    /// Returns the bytes of all together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.layers.bytes + self.caches.bytes + self.leftovers.bytes
    }
}

/// Which layers and caches of a store are removed. The default is all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorePruning {
    /// Only those that no step used for so long.
    pub older_than: Option<Duration>,
    /// Only until the store takes no more bytes than this, what was not used for the longest time first.
    pub keep_bytes: Option<u64>,
}

/// What was removed from a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorePruned {
    /// What is gone.
    pub removed: StoreUsage,
    /// Whether nothing was removed, since the store is in use.
    pub in_use: bool,
}

impl StorePart {
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// Tells what the store in `folder` takes. Where there is none, nothing.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when it cannot be read.
pub fn store_usage(folder: &Path) -> Result<StoreUsage> {
    let mut usage = StoreUsage::default();
    for kind in kinds(folder) {
        for thing in things(&kind)? {
            let part = if thing.is_layer { &mut usage.layers } else { &mut usage.caches };
            part.add(thing.bytes);
        }
        add_leftovers(&kind, &mut usage.leftovers)?;
    }
    Ok(usage)
}

/// Removes what `pruning` says from the store in `folder`, and what killed steps left. A store that somebody uses
/// stays as it is. Safe to be killed at any instant.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when something cannot be removed.
pub fn prune_store(folder: &Path, pruning: &StorePruning) -> Result<StorePruned> {
    let mut pruned = StorePruned::default();
    if !folder.exists() {
        return Ok(pruned);
    }
    let Some(alone) = alone(folder)? else {
        pruned.in_use = true;
        return Ok(pruned);
    };
    let mut all = Vec::new();
    for kind in kinds(folder) {
        add_leftovers(&kind, &mut pruned.removed.leftovers)?;
        all.extend(things(&kind)?.into_iter().map(|thing| (kind.clone(), thing)));
    }
    all.sort_by(|(_, a), (_, b)| (a.used, &a.path).cmp(&(b.used, &b.path)));
    let mut left: u64 = all.iter().map(|(_, thing)| thing.bytes).sum();
    let now = SystemTime::now();
    for (kind, thing) in all {
        let age = now.duration_since(thing.used).unwrap_or_default();
        let is_old = pruning.older_than.is_none_or(|older| age >= older);
        if !is_old || pruning.keep_bytes.is_some_and(|keep| left <= keep) {
            continue;
        }
        // Renamed, so that the others do not wait until all files are gone.
        let name = thing.path.file_name().unwrap_or_default();
        let trash = kind.join("trash").join(name);
        std::fs::create_dir_all(kind.join("trash"))
            .and_then(|()| std::fs::rename(&thing.path, &trash))
            .map_err(|error| on_path("cannot remove", &thing.path, error))?;
        if !thing.is_layer {
            let _ = std::fs::remove_file(thing.path.with_extension("lock"));
        }
        left = left.saturating_sub(thing.bytes);
        let part = match thing.is_layer {
            true => &mut pruned.removed.layers,
            false => &mut pruned.removed.caches,
        };
        part.add(thing.bytes);
    }
    drop(alone);
    for kind in kinds(folder) {
        work::prepare(&kind)?;
    }
    Ok(pruned)
}

/// Removes what no step used in a month, at most once a day and unless the store is in use. That it could not is no
/// failure of what was done before.
pub(crate) fn prune_when_due(folder: &Path) {
    let stamp = folder.join(STAMP);
    let Ok(data) = std::fs::metadata(&stamp) else {
        // A new store has nothing to remove.
        let _ = std::fs::write(&stamp, "");
        return;
    };
    let is_due = data.modified().is_ok_and(|it| it.elapsed().is_ok_and(|age| age > DAY));
    if is_due && std::fs::write(&stamp, "").is_ok() {
        let _ = prune_store(folder, &StorePruning { older_than: Some(MONTH), keep_bytes: None });
    }
}

/// Says that the store in `folder` is in use, as long as the value is there.
pub(super) fn using(folder: &Path) -> Result<File> {
    work::lock(&folder.join(IN_USE), FlockOperation::LockShared)
}

/// Notes that a step uses what is at `path`. Where that cannot be written it seems older than it is.
pub(super) fn touch(path: &Path) {
    let _ = File::open(path).and_then(|opened| opened.set_modified(SystemTime::now()));
}

/// Locks the store against all use, or returns `None` when it is in use.
fn alone(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(IN_USE);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| on_path("cannot open", &path, error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(on_path("cannot lock", &path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a layer that was used so long ago.
    fn layer(store: &Path, name: &str, age: Duration) -> std::path::PathBuf {
        let folder = store.join("overlay/layers").join(name);
        std::fs::create_dir_all(folder.join("fs")).unwrap();
        std::fs::write(folder.join("fs/file"), [7; 5000]).unwrap();
        let layer = File::open(&folder).unwrap();
        layer.set_modified(SystemTime::now() - age).unwrap();
        folder
    }

    #[test]
    fn a_store_removes_once_a_day_what_nobody_used_in_a_month() {
        let store = tempfile::tempdir().unwrap();
        let old = layer(store.path(), "old", MONTH + DAY);
        let new = layer(store.path(), "new", DAY);
        let stamp = store.path().join(STAMP);
        let is_due = || {
            let stamp = File::options().write(true).open(&stamp).unwrap();
            stamp.set_modified(SystemTime::now() - DAY - DAY).unwrap();
        };
        // Neither when the stamp is missing or new, nor when somebody uses the store.
        prune_when_due(store.path());
        prune_when_due(store.path());
        assert!(old.exists() && stamp.exists());
        is_due();
        let used = using(store.path()).unwrap();
        prune_when_due(store.path());
        assert!(old.exists());
        drop(used);
        is_due();
        prune_when_due(store.path());
        assert!(!old.exists() && new.exists());
    }

    #[test]
    fn the_longest_unused_goes_first_until_the_rest_is_small_enough() {
        let store = tempfile::tempdir().unwrap();
        let folders = [3, 1, 2].map(|days| layer(store.path(), &format!("{days}"), DAY * days));
        let all = store_usage(store.path()).unwrap();
        assert_eq!(all.layers.count, 3);
        let keep_bytes = Some(all.bytes() - 1);
        let pruned = prune_store(store.path(), &StorePruning { keep_bytes, older_than: None });
        assert_eq!(pruned.unwrap().removed.layers.count, 1);
        assert_eq!(folders.map(|folder| folder.exists()), [false, true, true]);
        let pruning = StorePruning { keep_bytes: Some(0), older_than: Some(DAY * 3 / 2) };
        let pruned = prune_store(store.path(), &pruning).unwrap();
        assert_eq!(pruned.removed.layers.count, 1);
        assert!(store.path().join("overlay/layers/1").exists());
        assert_eq!(store_usage(store.path()).unwrap().leftovers, StorePart::default());
    }
}
