//! Which base a name means, as its tag moves in the registry.

use std::sync::Arc;

use boxwright_core::{Anonymous, Digest, Host, ImageRef, PullPolicy};
use boxwright_image::pack::PackFormat;
use boxwright_registry::Client;
use boxwright_testkit::FakeRegistry;

use crate::bench::Bench;

/// Pushes an image whose file `f` has this content.
async fn publish(client: &Client, name: &ImageRef, content: &str) -> Digest {
    let bench = Bench::new("FROM scratch\nCOPY f /f\n").file("f", 0o644, content);
    let built = bench.build().await.unwrap();
    let pushed = bench.store.push(client, name, &built.manifest, PackFormat::Gzip).await;
    pushed.unwrap().digest
}

#[tokio::test]
async fn a_tag_that_moved_is_seen_by_pull_always_alone() {
    let registry = FakeRegistry::open().await.unwrap();
    let host = Host::with_variables::<String, String>("/", []);
    let client = Client::new(&host, Arc::default(), Arc::new(Anonymous));
    let name: ImageRef = format!("{}/base:1", registry.host()).parse().unwrap();
    let bench = Bench::new(&format!("FROM {name}\n"));
    let build = async |pull| {
        let mut request = bench.request();
        request.pull = pull;
        let built = bench.build_by(&request).await.unwrap();
        (bench.read(&built, "f").await, built.output.bases[&name.to_string()].clone())
    };
    let old = publish(&client, &name, "old").await;
    assert_eq!(build(PullPolicy::Missing).await, ("old".to_owned(), old.clone()));
    let new = publish(&client, &name, "new").await;
    assert_ne!(old, new);
    assert_eq!(build(PullPolicy::Missing).await, ("old".to_owned(), old.clone()));
    assert_eq!(build(PullPolicy::Never).await, ("old".to_owned(), old));
    assert_eq!(build(PullPolicy::Always).await, ("new".to_owned(), new.clone()));
    assert_eq!(build(PullPolicy::Missing).await, ("new".to_owned(), new), "it is here now");
}
