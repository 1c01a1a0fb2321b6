//! What a store pushes, and what of it travels.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with its place")]

use std::path::PathBuf;

use boxwright_core::{
    Anonymous, BuildRequest, ContextSource, Digest, Host, ImageRef, Manifest, Session,
};
use boxwright_image::pack::PackFormat;
use boxwright_portable::{Builder, Store};
use boxwright_registry::Client;
use boxwright_testkit::{ContextFolder, FakeRegistry};

const FORMAT: PackFormat = PackFormat::Gzip;

/// A store with one image, whose layer has `size` bytes and a bit that nothing compresses.
struct Bench {
    folder: ContextFolder,
    store: Store,
    manifest: Manifest,
}

impl Bench {
    async fn new(size: usize) -> Self {
        let folder = ContextFolder::new().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let mut state = 42_u64;
        let content = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_le_bytes()[7]
        });
        let content: Vec<u8> = content.take(size).collect();
        let context = ContextFolder::with_dockerfile("FROM scratch\nCOPY f /f\n").unwrap();
        std::fs::write(context.path().join("f"), content).unwrap();
        let request = BuildRequest::new(ContextSource::Folder(context.path().to_owned()));
        let session = Session::new(Host::with_variables::<String, String>("/", []));
        let built = Builder::new(store.clone()).build(&request, &session).await.unwrap();
        let manifest = store.built(&built.id).await.unwrap().unwrap();
        Self { folder, store, manifest }
    }

    /// Pushes with a client that knows nothing.
    async fn push(&self, name: &ImageRef) -> boxwright_core::Result<Digest> {
        let pushed = self.store.push(&client(), name, &self.manifest, FORMAT).await?;
        Ok(pushed.digest)
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.path().join("store/blobs/sha256").join(digest.hex())
    }
}

fn client() -> Client {
    let host = Host::with_variables::<String, String>("/", []);
    Client::new(&host, std::sync::Arc::default(), std::sync::Arc::new(Anonymous))
}

fn name(registry: &FakeRegistry, rest: &str) -> ImageRef {
    format!("{}/{rest}", registry.host()).parse().unwrap()
}

fn count(registry: &FakeRegistry, method: &str) -> usize {
    let requests = registry.requests();
    let uploads = requests.iter().filter(|(_, path)| path.contains("/blobs/uploads/"));
    uploads.filter(|(seen, _)| seen.as_str() == method).count()
}

const LARGE: usize = 6 << 20;

#[tokio::test]
async fn a_repository_that_has_nothing_gets_a_layer_while_it_is_compressed() {
    let bench = Bench::new(LARGE).await;
    let registry = FakeRegistry::open().await.unwrap();
    let digest = bench.push(&name(&registry, "new/app:1")).await.unwrap();
    assert_eq!(registry.manifest("new/app", "1"), Some(digest.clone()));
    // One part of unknown length; the config goes as ever.
    assert_eq!((count(&registry, "PATCH"), count(&registry, "POST")), (1, 2));
    // What was sent is what the image says: a store that has nothing pulls it.
    let pulled = Store::open(bench.folder.path().join("pulled")).unwrap();
    let manifest = client().pull(&name(&registry, "new/app:1"), None, pulled.layout()).await;
    assert_eq!(manifest.unwrap().descriptor.digest, digest);
    // It is known now what the layer came to, so that another repository is asked for it.
    bench.push(&name(&registry, "new/other:1")).await.unwrap();
    assert_eq!(count(&registry, "PATCH"), 1);
}

#[tokio::test]
async fn a_repository_that_has_images_is_asked_for_the_layer_first() {
    let bench = Bench::new(LARGE).await;
    let registry = FakeRegistry::open().await.unwrap();
    let small = Bench::new(10).await;
    small.push(&name(&registry, "app:1")).await.unwrap();
    bench.push(&name(&registry, "app:2")).await.unwrap();
    assert_eq!(count(&registry, "PATCH"), 0);
    assert!(registry.manifest("app", "2").is_some());
}

#[tokio::test]
async fn a_damaged_compressed_layer_is_never_pushed_and_made_again_threat_29() {
    let bench = Bench::new(100_000).await;
    let registry = FakeRegistry::open().await.unwrap();
    let packed = bench.store.packed(&bench.manifest, FORMAT).await.unwrap();
    let path = bench.blob(&packed.layers[0].0.digest);
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bad).unwrap();
    let digest = bench.push(&name(&registry, "app:1")).await.unwrap();
    assert_eq!(digest, packed.descriptor.digest);
    assert!(std::fs::read(&path).unwrap() == good);
    assert_eq!(registry.manifest("app", "1"), Some(digest));
}

#[tokio::test]
async fn a_damaged_layer_that_was_pulled_is_named_and_never_pushed_threat_29() {
    let bench = Bench::new(100_000).await;
    let registry = FakeRegistry::open().await.unwrap();
    let first = name(&registry, "one:1");
    bench.push(&first).await.unwrap();
    let pulled = Store::open(bench.folder.path().join("pulled")).unwrap();
    let manifest = client().pull(&first, None, pulled.layout()).await.unwrap();
    let layer = &manifest.layers[0].0.digest;
    let path = bench.folder.path().join("pulled/blobs/sha256").join(layer.hex());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[50] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let elsewhere = FakeRegistry::open().await.unwrap();
    let target = name(&elsewhere, "two:1");
    let error = pulled.push(&client(), &target, &manifest, FORMAT).await.unwrap_err();
    assert!(error.context().iter().any(|(_, value)| value == layer.as_str()), "{error:?}");
    assert!(error.remedy().unwrap().contains("the blob was removed"), "{error:?}");
    // The config may have got there before.
    assert!(elsewhere.manifest("two", "1").is_none() && elsewhere.blobs() < 2);
}

#[tokio::test]
async fn a_layer_is_mounted_from_where_it_was_pushed_to_or_pulled_from() {
    let bench = Bench::new(100_000).await;
    let registry = FakeRegistry::open().await.unwrap();
    let first = name(&registry, "team/base:1");
    let digest = bench.push(&first).await.unwrap();
    let packed = bench.store.packed(&bench.manifest, FORMAT).await.unwrap();
    bench.store.name(&packed, &[first.at_digest(digest)]).unwrap();
    assert_eq!((count(&registry, "POST"), count(&registry, "PUT")), (2, 2));
    bench.push(&name(&registry, "team/app:1")).await.unwrap();
    assert!(registry.manifest("team/app", "1").is_some());
    // Of the layer there is no more than the request to mount it; the config is sent.
    assert_eq!((count(&registry, "POST"), count(&registry, "PUT")), (4, 3));
    // Another store that pulls it knows that, too.
    let other = Store::open(bench.folder.path().join("other")).unwrap();
    let manifest = client().pull(&first, None, other.layout()).await.unwrap();
    other.keep(&manifest, &[first.at_digest(manifest.descriptor.digest.clone())]).unwrap();
    let third = name(&registry, "team/third:1");
    other.push(&client(), &third, &manifest, FORMAT).await.unwrap();
    assert_eq!((count(&registry, "POST"), count(&registry, "PUT")), (6, 4));
}
