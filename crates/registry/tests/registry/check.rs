//! Whether an image can be pulled and a repository pushed to, and what it costs to ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use boxwright_core::{ErrorKind, Platform};
use boxwright_registry::Existence;

use crate::server::{Answer, Seen, Server};
use crate::setup::{OCI_INDEX, Registry, client, image, name};

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

/// Starts a registry that answers as `change` says, where it says something, and counts what it is asked.
async fn start(
    registry: Arc<Registry>,
    change: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static,
) -> (Server, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let server = Server::start(move |seen| {
        counter.fetch_add(1, Ordering::SeqCst);
        change(seen).unwrap_or_else(|| registry.answer(seen))
    })
    .await;
    (server, count)
}

#[tokio::test]
async fn all_of_an_image_is_read_with_few_requests() {
    let image = image("amd64", 1000);
    let (server, count) = start(Registry::with(&image, "1"), |_| None).await;
    let wanted = platform("linux/amd64");
    let found = client().check(&name(&server.address, "api:1"), Some(&wanted)).await.unwrap();
    assert_eq!(found.image.digest(), Some(&image.manifest.descriptor.digest));
    assert_eq!((found.layers, found.platform), (1, Some(wanted)));
    let all = image.bytes.len() + image.config.len() + image.layer.len();
    assert_eq!(found.size, all as u64);
    assert!(count.load(Ordering::SeqCst) <= 3 + 2, "{count:?}");
}

#[tokio::test]
async fn a_layer_that_is_missing_or_too_short_is_found() {
    let image = image("amd64", 1000);
    let wanted = platform("linux/amd64");
    let layer = image.manifest.layers[0].0.digest.to_string();
    let is_layer = move |seen: &Seen| seen.path().ends_with(&layer);
    for (answer, kind) in [
        (Answer::new(404), ErrorKind::NotFound),
        (Answer::new(403), ErrorKind::Unauthorized),
        (Answer::new(200).body("short"), ErrorKind::Protocol),
        (Answer::new(206).with("Content-Range", "bytes 0-0/999").body("x"), ErrorKind::Protocol),
    ] {
        let is_layer = is_layer.clone();
        let change = move |seen: &Seen| is_layer(seen).then(|| answer.clone());
        let (server, _) = start(Registry::with(&image, "1"), change).await;
        let checked = client().check(&name(&server.address, "api:1"), Some(&wanted)).await;
        assert_eq!(checked.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn one_platform_does_not_stand_for_another() {
    let image = image("amd64", 10);
    let (server, _) = start(Registry::with(&image, "1"), |_| None).await;
    let (api, arm) = (name(&server.address, "api:1"), platform("linux/arm64"));
    let error = client().check(&api, Some(&arm)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.causes(), ["it is for `linux/amd64` and not for `linux/arm64`"]);
    assert_eq!(client().exists_for(&api, &arm).await, Existence::No);
    let digest = image.manifest.descriptor.digest;
    let amd = platform("linux/amd64");
    assert_eq!(client().exists_for(&api, &amd).await, Existence::Yes(digest));
}

#[tokio::test]
async fn an_index_is_there_for_the_platforms_it_has() {
    let image = image("amd64", 10);
    let registry = Registry::with(&image, "one");
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [{
            "mediaType": image.manifest.descriptor.media_type, "size": image.bytes.len(),
            "digest": image.manifest.descriptor.digest,
            "platform": {"os": "linux", "architecture": "amd64"},
        }],
    });
    registry.add_manifest("1", OCI_INDEX, index.to_string().as_bytes());
    let (server, _) = start(registry, |_| None).await;
    let api = name(&server.address, "api:1");
    let digest = image.manifest.descriptor.digest;
    let amd = platform("linux/amd64");
    assert_eq!(client().exists_for(&api, &amd).await, Existence::Yes(digest));
    assert_eq!(client().exists_for(&api, &platform("linux/s390x")).await, Existence::No);
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_is_no_absence() {
    let image = image("amd64", 10);
    let (server, _) = start(Registry::with(&image, "1"), |_| Some(Answer::new(403))).await;
    let api = name(&server.address, "api:1");
    let error = client().check(&api, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.remedy().unwrap().contains("public"), "{error:?}");
    let existence = client().exists_for(&api, &platform("linux/amd64")).await;
    assert!(matches!(existence, Existence::Unknown { .. }), "{existence:?}");
}

#[tokio::test]
async fn the_right_to_push_is_asked_for_by_an_upload_that_is_cancelled() {
    let image = image("amd64", 10);
    let (server, count) = start(Registry::with(&image, "1"), |seen| {
        (seen.method == "DELETE").then(|| Answer::new(204))
    })
    .await;
    client().check_push(&name(&server.address, "api:1")).await.unwrap();
    let asked = server.seen();
    let methods: Vec<&str> = asked.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(methods[methods.len() - 2..], ["POST", "DELETE"]);
    assert!(count.load(Ordering::SeqCst) <= 3);

    let (server, _) = start(Registry::with(&image, "1"), |_| Some(Answer::new(401))).await;
    let error = client().check_push(&name(&server.address, "api:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.remedy().unwrap().contains("boxwright login"), "{error:?}");
}
