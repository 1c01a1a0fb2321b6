//! Layers cross once, whole, and verified.

use std::io::Write as _;
use std::sync::atomic::Ordering;

use boxwright_core::{
    BlobStore as _, ErrorKind, MountAccess, MountSource, StepLayer, StepMount, StepOutcome,
    StepRunner as _,
};
use tokio::io::AsyncReadExt as _;

use super::{Script, digest_of, layer, pair, session, step};

/// Some bytes that do not repeat in any period of a buffer.
fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_layer_crosses_once_however_many_steps_need_it() {
    let left = bytes(3_000_000);
    let outcome = StepLayer { diff_id: digest_of(&left), size: left.len() as u64 };
    let expected = outcome.clone();
    let script = Script::new(move |_, _, _| Ok(StepOutcome::new(0, Some(outcome.clone()))));
    script.keep(&left);
    let pair = pair(script.clone()).await;
    let (base, other) = (bytes(5_000_001), bytes(7));
    let blob = pair.blobs.put(&gzip(&base), "gzip").await.unwrap().digest;
    let plain = pair.blobs.put(&other, "tar").await.unwrap().digest;

    let mut step = step();
    step.rootfs = vec![layer(&digest_of(&base), &blob)];
    step.mounts.push(StepMount {
        target: "/m".into(),
        source: MountSource::Chain {
            rootfs: vec![layer(&plain, &plain), layer(&digest_of(&base), &blob)],
            path: "/".into(),
            access: MountAccess::ReadOnly,
        },
    });
    let session = session();
    let runs = (0..6).map(|_| pair.client.run(&step, &pair.blobs, &session));
    for outcome in futures_util::future::join_all(runs).await {
        assert_eq!(outcome.unwrap(), StepOutcome::new(0, Some(expected.clone())));
    }
    assert_eq!(script.0.unpacked.load(Ordering::Relaxed), 2);
    assert!(script.0.layers.lock().unwrap()[&digest_of(&base)] == base);
    let mut fetched = Vec::new();
    let mut stream = pair.blobs.open(&expected.diff_id).await.unwrap();
    stream.read_to_end(&mut fetched).await.unwrap();
    assert!(fetched == left);
}

#[tokio::test]
async fn a_blob_that_is_damaged_is_what_the_error_says() {
    let script = Script::new(|_, _, _| Ok(StepOutcome::new(0, None)));
    let pair = pair(script.clone()).await;
    let mut damaged = gzip(&bytes(2_000_000));
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let blob = pair.blobs.put(&damaged, "gzip").await.unwrap().digest;
    let mut step = step();
    let diff_id = digest_of(&bytes(2_000_000));
    step.rootfs = vec![layer(&diff_id, &blob)];
    let error = pair.client.run(&step, &pair.blobs, &session()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    assert!(!script.0.layers.lock().unwrap().contains_key(&diff_id));

    // Nothing is remembered of it: with the right blob the same worker goes on.
    let whole = pair.blobs.put(&gzip(&bytes(2_000_000)), "gzip").await.unwrap().digest;
    step.rootfs = vec![layer(&diff_id, &whole)];
    pair.client.run(&step, &pair.blobs, &session()).await.unwrap();
}

#[tokio::test]
async fn a_layer_that_is_not_what_the_worker_said_is_not_kept_threat_29() {
    let said = StepLayer { diff_id: digest_of(b"something else"), size: 3 };
    let outcome = said.clone();
    let script = Script::new(move |_, _, _| Ok(StepOutcome::new(0, Some(outcome.clone()))));
    script.0.layers.lock().unwrap().insert(said.diff_id.clone(), b"bad".to_vec());
    let pair = pair(script).await;
    let error = pair.client.run(&step(), &pair.blobs, &session()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    assert_eq!(pair.blobs.size(&said.diff_id).await.unwrap(), None);
}
