//! A store is counted, and becomes smaller.

use std::fs::File;
use std::time::{Duration, SystemTime};

use boxwright_core::{CacheSharing, MountAccess, MountSource, StepMount};
use boxwright_worker::{StorePruning, WorkerStore, prune_store, store_usage};

use crate::Case;
use crate::world::{self, World};

pub(crate) const CASES: &[Case] = &[("a_store_is_pruned_unless_it_is_in_use", pruned)];

const DAY: Duration = Duration::from_secs(24 * 3600);

fn pruned() {
    let world = World::new();
    let mut step =
        world.step("mkdir /cache/closed; echo 1 >/cache/closed/a; chmod 0 /cache/closed");
    step.mounts.push(StepMount {
        target: "/cache".to_owned(),
        source: MountSource::Cache {
            id: "id".to_owned(),
            mode: 0o755,
            owner: (0, 0),
            sharing: CacheSharing::Shared,
            access: MountAccess::ReadWrite,
            seed: None,
        },
    });
    assert_eq!(world.run(step).code, 0);
    let left = world.step("echo 1 >/left");
    assert!(world.run(left).layer.is_some());
    let base = world.kind().join("layers").join(world.base.diff_id.hex());
    let folder = world.place.path().join("store");
    let usage = store_usage(&folder).unwrap();
    assert_eq!((usage.layers.count, usage.caches.count, usage.leftovers.count), (2, 1, 0));
    let busybox = std::fs::metadata(base.join("fs/bin/busybox")).unwrap().len();
    assert!(usage.layers.bytes >= busybox && usage.caches.bytes > 0, "{usage:?}");

    let all = StorePruning::default();
    let unchanged = prune_store(&folder, &all).unwrap();
    assert!(unchanged.in_use && unchanged.removed.bytes() == 0, "{unchanged:?}");
    assert_eq!(store_usage(&folder).unwrap(), usage);

    let World { place: _place, store, .. } = world;
    drop(store);
    let old = StorePruning { older_than: Some(DAY), ..all };
    assert_eq!(prune_store(&folder, &old).unwrap(), Default::default());
    File::open(&base).unwrap().set_modified(SystemTime::now() - DAY).unwrap();
    let pruned = prune_store(&folder, &old).unwrap();
    assert_eq!((pruned.removed.layers.count, pruned.removed.caches.count), (1, 0));
    assert!(!base.exists());

    // A step that uses a layer makes it young again.
    let store = WorkerStore::open(&folder).unwrap();
    let world = World { base: world::add(&store, &world::base_tar()), place: _place, store };
    File::open(&base).unwrap().set_modified(SystemTime::now() - DAY).unwrap();
    assert_eq!(world.sh("true").code, 0);
    let killed = world.kind().join("work/1-1-1");
    std::fs::create_dir(&killed).unwrap();
    let World { place: _place, store, .. } = world;
    drop(store);
    assert_eq!(store_usage(&folder).unwrap().leftovers.count, 1);
    let pruned = prune_store(&folder, &old).unwrap();
    assert_eq!((pruned.removed.layers.count, pruned.removed.leftovers.count), (0, 1));
    assert!(base.exists() && !killed.exists());

    let pruned = prune_store(&folder, &StorePruning { keep_bytes: Some(0), ..all }).unwrap();
    assert_eq!((pruned.removed.layers.count, pruned.removed.caches.count), (2, 1));
    assert_eq!(store_usage(&folder).unwrap(), Default::default());
}
