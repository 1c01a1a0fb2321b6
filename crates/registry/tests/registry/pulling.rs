//! Pulling: what arrives is what was asked for, also from a registry that breaks off or lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use boxwright_core::{ErrorKind, RegistrySetting, RegistrySettings};
use tokio::io::AsyncReadExt as _;

use crate::server::{Answer, Server};
use crate::setup::{
    OCI_INDEX, OCI_MANIFEST, Registry, Store, alice, client, client_with, digest, image, name, told,
};

#[tokio::test]
async fn an_image_arrives_whole_and_a_second_pull_fetches_no_layer() {
    let image = image("amd64", 100_000);
    let registry = Registry::with(&image, "1");
    let server = Server::start(move |seen| registry.answer(seen)).await;
    let (store, client) = (Store::default(), client());
    let name = name(&server.address, "acme/api:1");
    let pulled = client.pull(&name, None, &store).await.unwrap();
    assert_eq!(pulled, image.manifest);
    for bytes in [&image.bytes, &image.config, &image.layer] {
        assert!(store.has(&digest(bytes)));
    }
    let layer = format!("/v2/acme/api/blobs/{}", digest(&image.layer));
    assert_eq!(server.count("GET", &layer), 1);
    client.pull(&name, None, &store).await.unwrap();
    assert_eq!(server.count("GET", &layer), 1);
}

#[tokio::test]
async fn the_platform_is_chosen_from_an_index() {
    let images = ["amd64", "arm64"].map(|architecture| image(architecture, 10));
    let registry = Registry::with(&images[0], "x");
    registry.add_manifest("y", OCI_MANIFEST, &images[1].bytes);
    let entry = |number: usize, architecture: &str| {
        let part = serde_json::to_string(&images[number].manifest.descriptor).unwrap();
        let part = part.trim_end_matches('}').to_owned();
        format!(r#"{part},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#)
    };
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
        entry(0, "amd64"),
        entry(1, "arm64")
    );
    registry.add_manifest("1", OCI_INDEX, index.as_bytes());
    let server = Server::start(move |seen| registry.answer(seen)).await;
    let name = name(&server.address, "api:1");
    let found = client().resolve(&name, Some(&"linux/arm64".parse().unwrap())).await.unwrap();
    assert_eq!(found.descriptor, images[1].manifest.descriptor);
    assert_eq!(found.index.unwrap().digest, digest(index.as_bytes()));
    let error = client().resolve(&name, Some(&"linux/s390x".parse().unwrap())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.remedy(), Some("name one of its platforms: linux/amd64, linux/arm64"));
}

#[tokio::test]
async fn an_image_for_another_platform_is_not_taken_for_the_one_asked_for() {
    let registry = Registry::with(&image("arm64", 10), "1");
    let server = Server::start(move |seen| registry.answer(seen)).await;
    let platform = "linux/amd64".parse().unwrap();
    let store = Store::default();
    let error =
        client().pull(&name(&server.address, "api:1"), Some(&platform), &store).await.unwrap_err();
    assert!(told(&error).contains("it is for `linux/arm64` and not for `linux/amd64`"));
}

#[tokio::test]
async fn a_blob_that_breaks_off_goes_on_where_it_broke_threat_29() {
    let image = image("amd64", 100_000);
    let registry = Registry::with(&image, "1");
    let layer = format!("/v2/api/blobs/{}", digest(&image.layer));
    let path = layer.clone();
    let server = Server::start(move |seen| {
        let answer = registry.answer(seen);
        let is_first = seen.header("range").is_none();
        if seen.path() == path && is_first { answer.cut_after(40_000) } else { answer }
    })
    .await;
    let store = Store::default();
    client().pull(&name(&server.address, "api:1"), None, &store).await.unwrap();
    assert!(store.has(&digest(&image.layer)));
    let ranges: Vec<_> = server
        .seen()
        .iter()
        .filter(|seen| seen.path() == layer)
        .map(|seen| seen.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges, [None, Some("bytes=40000-".to_owned())]);
}

#[tokio::test]
async fn a_registry_that_knows_no_ranges_is_read_again_from_the_beginning() {
    let image = image("amd64", 100_000);
    let registry = Registry::with(&image, "1");
    let (path, bytes) = (format!("/v2/api/blobs/{}", digest(&image.layer)), image.layer.clone());
    let times = AtomicUsize::new(0);
    let server = Server::start(move |seen| match seen.path() == path {
        true if times.fetch_add(1, Ordering::Relaxed) == 0 => {
            Answer::new(200).body(bytes.clone()).cut_after(70_000)
        }
        true => Answer::new(200).body(bytes.clone()),
        false => registry.answer(seen),
    })
    .await;
    let store = Store::default();
    client().pull(&name(&server.address, "api:1"), None, &store).await.unwrap();
    assert!(store.has(&digest(&image.layer)));
}

#[tokio::test]
async fn a_blob_that_never_arrives_whole_is_given_up_threat_29() {
    let image = image("amd64", 1000);
    let registry = Registry::with(&image, "1");
    let path = format!("/v2/api/blobs/{}", digest(&image.layer));
    let server = Server::start(move |seen| {
        let answer = registry.answer(seen);
        if seen.path() == path { answer.cut_after(0) } else { answer }
    })
    .await;
    let store = Store::default();
    let error = client().pull(&name(&server.address, "api:1"), None, &store).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(told(&error).contains("at byte 0 of 1000"), "{}", told(&error));
    assert!(!store.has(&digest(&image.layer)) && !store.has(&digest(&image.bytes)));
}

#[tokio::test]
async fn other_bytes_than_promised_are_asked_for_once_more_and_never_kept_threat_29() {
    for (bad, succeeds) in [(1, true), (2, false)] {
        let image = image("amd64", 1000);
        let registry = Registry::with(&image, "1");
        let path = format!("/v2/api/blobs/{}", digest(&image.layer));
        let times = Arc::new(AtomicUsize::new(0));
        let server = Server::start(move |seen| {
            if seen.path() == path && times.fetch_add(1, Ordering::Relaxed) < bad {
                return Answer::new(200).body(vec![b'x'; 1000]);
            }
            registry.answer(seen)
        })
        .await;
        let store = Store::default();
        let pulled = client().pull(&name(&server.address, "api:1"), None, &store).await;
        assert_eq!(pulled.is_ok(), succeeds, "{bad}");
        assert_eq!(store.has(&digest(&image.layer)), succeeds);
        assert!(!store.has(&digest(&[b'x'; 1000])));
    }
}

#[tokio::test]
async fn a_length_other_than_the_manifests_is_refused_threat_29() {
    for (length, what) in [(999, "another length"), (1001, "another length")] {
        let image = image("amd64", 1000);
        let registry = Registry::with(&image, "1");
        let path = format!("/v2/api/blobs/{}", digest(&image.layer));
        let server = Server::start(move |seen| {
            let is_layer = seen.path() == path;
            if is_layer { Answer::new(200).body(vec![0; length]) } else { registry.answer(seen) }
        })
        .await;
        let pulled = client().pull(&name(&server.address, "api:1"), None, &Store::default()).await;
        let error = pulled.unwrap_err();
        assert!(told(&error).contains(what), "{}", told(&error));
    }
}

#[tokio::test]
async fn a_blob_read_by_itself_is_verified_threat_29() {
    let image = image("amd64", 1000);
    let server = Server::start(|_| Answer::new(200).body(vec![b'x'; 1000])).await;
    let layer = &image.manifest.layers[0].0;
    let mut bytes = Vec::new();
    let mut blob = client().blob(&name(&server.address, "api:1"), layer).await.unwrap();
    let error = blob.read_to_end(&mut bytes).await.unwrap_err();
    assert!(error.to_string().contains(layer.digest.as_str()));
}

#[tokio::test]
async fn another_manifest_than_the_digest_named_is_refused_threat_30() {
    let image = image("amd64", 10);
    let registry = Registry::with(&image, "1");
    let bytes = image.bytes.clone();
    let server = Server::start(move |seen| {
        if seen.path().contains("/manifests/") {
            return Answer::new(200).body(bytes.clone());
        }
        registry.answer(seen)
    })
    .await;
    let other = digest(b"another");
    let error =
        client().resolve(&name(&server.address, &format!("api@{other}")), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(told(&error).contains(other.as_str()));
}

#[tokio::test]
async fn a_layer_kept_elsewhere_is_never_asked_for_threat_25() {
    let elsewhere = Server::start(|_| Answer::new(200)).await;
    let image = image("amd64", 10);
    let registry = Registry::with(&image, "x");
    let urls = format!(r#""urls":["http://{}/layer"],"size":10"#, elsewhere.address);
    let text = String::from_utf8(image.bytes.clone()).unwrap().replace(r#""size":10"#, &urls);
    registry.add_manifest("1", OCI_MANIFEST, text.as_bytes());
    let server = Server::start(move |seen| registry.answer(seen)).await;
    let pulled = client().pull(&name(&server.address, "api:1"), None, &Store::default()).await;
    assert_eq!(pulled.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_host_threat_25() {
    let image = image("amd64", 1000);
    let bytes = image.layer.clone();
    let storage = Server::start(move |_| Answer::new(200).body(bytes.clone())).await;
    let registry = Registry::with(&image, "1");
    let (path, target) = (
        format!("/v2/api/blobs/{}", digest(&image.layer)),
        format!("http://{}/signed?x=1", storage.address),
    );
    let server = Server::start(move |seen| match seen.header("authorization") {
        None => Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\""),
        Some(_) if seen.path() == path => Answer::new(307).with("Location", &target),
        Some(_) => registry.answer(seen),
    })
    .await;
    let client = client_with(RegistrySettings::default(), alice(&server.address));
    let store = Store::default();
    client.pull(&name(&server.address, "api:1"), None, &store).await.unwrap();
    assert!(store.has(&digest(&image.layer)));
    assert!(server.seen().iter().any(|seen| seen.header("authorization").is_some()));
    let seen = storage.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), None);
}

#[tokio::test]
async fn another_host_that_asks_for_the_password_does_not_get_it_threat_25() {
    let asking = || Answer::new(401).with("WWW-Authenticate", "Basic realm=\"give\"");
    let thief = Server::start(move |_| asking()).await;
    let target = format!("http://{}/", thief.address);
    let server = Server::start(move |_| Answer::new(307).with("Location", &target)).await;
    let client = client_with(RegistrySettings::default(), alice(&server.address));
    let error = client.resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(thief.seen().iter().all(|seen| seen.header("authorization").is_none()));
    assert_eq!(thief.seen().len(), 1);
}

#[tokio::test]
async fn mirrors_are_asked_first_and_the_registry_last() {
    let image = image("amd64", 1000);
    let [full, empty] = [Registry::with(&image, "1"), Arc::new(Registry::default())];
    let mirror = Server::start(move |seen| full.answer(seen)).await;
    let server = Server::start(|_| Answer::new(500)).await;
    let hollow = Server::start(move |seen| empty.answer(seen)).await;
    let mut setting = RegistrySetting::default();
    setting.mirrors = vec![hollow.address.clone(), format!("{}/proxy", mirror.address)];
    let settings = RegistrySettings([(server.address.clone(), setting)].into());
    let client = client_with(settings, alice(&server.address));
    let pulled = client.pull(&name(&server.address, "api:1"), None, &Store::default()).await;
    assert_eq!(pulled.unwrap(), image.manifest);
    assert_eq!(hollow.count("GET", "/v2/api/manifests/1"), 1);
    assert_eq!(mirror.count("GET", "/v2/proxy/api/manifests/1"), 1);
    assert!(server.seen().is_empty());
}
