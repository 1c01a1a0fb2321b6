//! What is used stays, what is damaged goes.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use boxwright_core::{BlobStore as _, Digest, ErrorKind};
use boxwright_image::layout::Layout;
use boxwright_image::upkeep::{self, Used};
use tokio::io::AsyncReadExt as _;

use crate::Store;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn age(path: &Path) {
    File::open(path).unwrap().set_modified(SystemTime::now() - DAY).unwrap();
}

fn path_of(layout: &Layout, digest: &Digest) -> std::path::PathBuf {
    layout.folder().join("blobs/sha256").join(digest.hex())
}

async fn old_blob(layout: &Layout, content: &str) -> Digest {
    let digest = layout.put(content.as_bytes(), "text/plain").await.unwrap().digest;
    age(&path_of(layout, &digest));
    digest
}

fn used(layout: &Layout, digest: &Digest) -> Used {
    layout.blobs().unwrap().into_iter().find(|blob| blob.digest == *digest).unwrap()
}

#[tokio::test]
async fn what_somebody_uses_may_not_be_removed_threat_40() {
    let store = Store::new();
    let layout = &store.layout;
    let (relied_on, idle) = (old_blob(layout, "relied on").await, old_blob(layout, "idle").await);
    let user = layout.enter().unwrap();
    assert_eq!(layout.use_blob(&relied_on).unwrap(), Some(9));
    let written = layout.put(b"written", "text/plain").await.unwrap().digest;
    let removal = layout.lock_for_removal().unwrap();
    assert!(!removal.allows(used(layout, &relied_on).at));
    assert!(!removal.allows(used(layout, &written).at));
    assert!(removal.allows(used(layout, &idle).at));
    removal.remove(&idle).unwrap();
    drop(removal);
    assert_eq!(layout.use_blob(&idle).unwrap(), None);

    drop(user);
    let removal = layout.lock_for_removal().unwrap();
    assert!(removal.allows(used(layout, &relied_on).at), "nobody is there any more");
}

#[tokio::test]
async fn who_was_killed_is_no_user_and_leaves_nothing_threat_39() {
    let store = Store::new();
    let layout = &store.layout;
    let blob = layout.put(b"x", "text/plain").await.unwrap().digest;
    // What a process leaves that is killed: its file without its lock, and what it was writing.
    drop(layout.enter().unwrap());
    let killed = layout.folder().join("users/user-killed");
    std::fs::write(&killed, "").unwrap();
    let (left, fresh) =
        (layout.folder().join("ingest/blob-old"), layout.folder().join("ingest/blob-new"));
    std::fs::write(&left, "half").unwrap();
    age(&left);
    std::fs::write(&fresh, "being written").unwrap();
    let removal = layout.lock_for_removal().unwrap();
    assert!(removal.allows(used(layout, &blob).at));
    assert_eq!(layout.unfinished().unwrap().iter().sum::<u64>(), 4 + 13);
    assert_eq!(removal.remove_leftovers().unwrap(), 4);
    assert_eq!(layout.unfinished().unwrap(), [13]);
    assert!(!killed.exists() && !left.exists() && fresh.exists());
}

#[tokio::test]
async fn a_damaged_blob_is_found_and_removed_threat_29() {
    let store = Store::new();
    let layout = &store.layout;
    for is_blocking in [true, false] {
        let digest = layout.put(b"abc", "text/plain").await.unwrap().digest;
        std::fs::write(path_of(layout, &digest), "abd").unwrap();
        let error = if is_blocking {
            layout.read(&digest, 9).await.unwrap_err()
        } else {
            let mut bytes = Vec::new();
            let read = layout.open(&digest).await.unwrap().read_to_end(&mut bytes).await;
            boxwright_image::read_error(read.unwrap_err())
        };
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert_eq!(upkeep::damaged(&error), Some(digest.as_str()));
        assert_eq!(layout.size(&digest).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_good_blob_that_came_meanwhile_stays() {
    let store = Store::new();
    let layout = &store.layout;
    let digest = layout.put(b"abc", "text/plain").await.unwrap().digest;
    std::fs::write(path_of(layout, &digest), "abd").unwrap();
    let mut reader = layout.open_blocking(&digest).unwrap();
    layout.put(b"abc", "text/plain").await.unwrap();
    assert!(std::io::copy(&mut reader, &mut std::io::sink()).is_err());
    assert_eq!(layout.read(&digest, 9).await.unwrap(), b"abc");
}
