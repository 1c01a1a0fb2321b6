//! Labels: what holds what for containerd's collector, and what this project made. Pure but for the clock.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use boxwright_core::{Descriptor, Digest, labels, own_labels};
use boxwright_image::manifest::ImageManifest;
use prost_types::Timestamp;

/// Keeps something that nothing else holds.
const ROOT: &str = "containerd.io/gc.root";

/// When containerd may remove a lease whose owner did not.
const EXPIRE: &str = "containerd.io/gc.expire";

/// How long a lease lasts at most, in seconds: longer than any build.
const LONGEST: u64 = 24 * 60 * 60;

/// Returns the labels of something that this process makes for `purpose`, such as `run`.
pub(crate) fn own(purpose: &str) -> HashMap<String, String> {
    own_labels(purpose).into_iter().collect()
}

/// Returns the labels of a lease for `purpose`.
pub(crate) fn of_lease(purpose: &str) -> HashMap<String, String> {
    let mut labels = own(purpose);
    let seconds = i64::try_from(now() + LONGEST).unwrap_or(i64::MAX);
    labels.insert(EXPIRE.to_owned(), Timestamp { seconds, nanos: 0 }.to_string());
    labels
}

/// Returns the labels of something that stays for later builds.
pub(crate) fn kept(purpose: &str) -> HashMap<String, String> {
    let mut labels = own(purpose);
    // It outlives the process that makes it.
    labels.remove(labels::MAKER);
    labels.insert(ROOT.to_owned(), purpose.to_owned());
    labels
}

/// Returns the labels of a manifest: it holds its config and its layers.
pub(crate) fn of_manifest(manifest: &ImageManifest) -> HashMap<String, String> {
    let config =
        ("containerd.io/gc.ref.content.config".to_owned(), manifest.config.digest.to_string());
    let layer = |(number, layer): (usize, &Descriptor)| {
        (format!("containerd.io/gc.ref.content.l.{number}"), layer.digest.to_string())
    };
    std::iter::once(config).chain(manifest.layers.iter().enumerate().map(layer)).collect()
}

/// Returns the labels of a config: it holds the unpacked layers.
pub(crate) fn of_config(snapshotter: &str, chain: &str) -> HashMap<String, String> {
    HashMap::from([(format!("containerd.io/gc.ref.snapshot.{snapshotter}"), chain.to_owned())])
}

/// Returns the labels of a layer: the digest of its uncompressed tar.
pub(crate) fn of_layer(diff_id: &Digest) -> HashMap<String, String> {
    HashMap::from([("containerd.io/uncompressed".to_owned(), diff_id.to_string())])
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(digit: char) -> Descriptor {
        let digest = format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap();
        Descriptor { media_type: String::new(), digest, size: 1 }
    }

    #[test]
    fn a_manifest_holds_its_config_and_every_layer() {
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: None,
            config: blob('a'),
            layers: vec![blob('b'), blob('c')],
            annotations: Default::default(),
        };
        let labels = of_manifest(&manifest);
        assert_eq!(labels.len(), 3);
        assert_eq!(labels["containerd.io/gc.ref.content.config"], blob('a').digest.as_str());
        assert_eq!(labels["containerd.io/gc.ref.content.l.1"], blob('c').digest.as_str());
    }

    #[test]
    fn a_lease_ends_by_itself_some_day() {
        let labels = of_lease("pull");
        let expires: Timestamp = labels[EXPIRE].parse().unwrap();
        assert!(expires.seconds.unsigned_abs() > now() + LONGEST - 60);
        assert_eq!(labels[boxwright_core::labels::OWNER], "pull");
    }
}
