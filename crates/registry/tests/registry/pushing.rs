//! Pushing: what is there is not sent again, and what broke goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use boxwright_core::{ErrorKind, RegistrySettings};

use crate::server::{Answer, Seen, Server};
use crate::setup::{
    Image, Registry, alice, client, client_with, digest, image, missing, name, told,
};

fn check(registry: &Registry, image: &Image, tag: &str) {
    let blobs = registry.blobs.lock().unwrap();
    for bytes in [&image.config, &image.layer] {
        assert_eq!(blobs.get(digest(bytes).as_str()), Some(bytes));
    }
    assert_eq!(registry.manifests.lock().unwrap()[tag].1, image.bytes);
}

fn is_upload(seen: &Seen, method: &str) -> bool {
    seen.method == method && seen.path().contains("/blobs/uploads/")
}

#[tokio::test]
async fn a_new_image_is_sent_whole_and_an_old_one_not_at_all() {
    let image = image("amd64", 300_000);
    let registry = Arc::new(Registry::default());
    let server = Server::start({
        let registry = Arc::clone(&registry);
        move |seen| registry.answer(seen)
    })
    .await;
    let (client, name, store) = (client(), name(&server.address, "acme/api:1"), image.store());
    let pushed = client.push(&name, &image.manifest, &store).await.unwrap();
    assert_eq!(pushed.digest, image.manifest.descriptor.digest);
    check(&registry, &image, "1");
    let puts = server.seen().iter().filter(|seen| is_upload(seen, "PUT")).count();
    assert_eq!(puts, 2);
    let before = server.seen().len();
    client.push(&name, &image.manifest, &store).await.unwrap();
    let again: Vec<String> = server.seen()[before..].iter().map(ToString::to_string).collect();
    assert_eq!(again, ["HEAD /v2/acme/api/manifests/1"]);
}

#[tokio::test]
async fn a_blob_that_is_there_is_not_sent_for_another_tag() {
    let image = image("amd64", 1000);
    let registry = Registry::with(&image, "1");
    let server = Server::start({
        let registry = Arc::clone(&registry);
        move |seen| registry.answer(seen)
    })
    .await;
    client().push(&name(&server.address, "api:2"), &image.manifest, &image.store()).await.unwrap();
    check(&registry, &image, "2");
    assert!(!server.seen().iter().any(|seen| is_upload(seen, "POST")));
}

#[tokio::test]
async fn a_broken_upload_goes_on_from_the_registrys_offset_threat_32() {
    let image = image("amd64", 300_000);
    let registry = Arc::new(Registry::default());
    let is_broken = AtomicBool::new(false);
    let server = Server::start_interrupting(
        {
            let registry = Arc::clone(&registry);
            // The registry keeps what it got, but cannot finish with it.
            move |seen| {
                let mut seen = seen.clone();
                if is_upload(&seen, "PUT") && seen.body.len() == 120_000 {
                    seen.method = "PATCH".into();
                }
                registry.answer(&seen)
            }
        },
        move |seen| {
            let is_layer = seen.header("content-length") == Some("300000");
            (is_layer && !is_broken.swap(true, Ordering::Relaxed)).then_some(120_000)
        },
    )
    .await;
    client().push(&name(&server.address, "api:1"), &image.manifest, &image.store()).await.unwrap();
    check(&registry, &image, "1");
    let seen = server.seen();
    let patched: Vec<_> = seen.iter().filter(|seen| is_upload(seen, "PATCH")).collect();
    assert_eq!(patched.len(), 1);
    assert_eq!(patched[0].header("content-range"), Some("120000-299999"));
    assert_eq!(patched[0].body.len(), 180_000);
}

#[tokio::test]
async fn an_upload_that_is_gone_is_begun_again_threat_32() {
    for (losses, succeeds, begun) in [(1, true, 3), (9, false, 5)] {
        let image = image("amd64", 1000);
        let registry = Arc::new(Registry::default());
        let lost = AtomicUsize::new(0);
        let server = Server::start({
            let registry = Arc::clone(&registry);
            move |seen| {
                let is_layer = is_upload(seen, "PUT") && seen.body.len() == 1000;
                let is_asked = is_upload(seen, "GET");
                if is_asked || is_layer && lost.fetch_add(1, Ordering::Relaxed) < losses {
                    return missing("BLOB_UPLOAD_UNKNOWN");
                }
                registry.answer(seen)
            }
        })
        .await;
        let name = name(&server.address, "api:1");
        let pushed = client().push(&name, &image.manifest, &image.store()).await;
        assert_eq!(pushed.is_ok(), succeeds);
        let posts = server.seen().iter().filter(|seen| is_upload(seen, "POST")).count();
        assert_eq!(posts, begun, "{losses}");
    }
}

#[tokio::test]
async fn a_registry_that_takes_no_large_request_gets_parts_threat_32() {
    let image = image("amd64", 9 << 20);
    let registry = Arc::new(Registry::default());
    let server = Server::start({
        let registry = Arc::clone(&registry);
        move |seen| match seen.body.len() > 5 << 20 {
            true => Answer::new(413).with("Content-Type", "text/html"),
            false => registry.answer(seen),
        }
    })
    .await;
    client().push(&name(&server.address, "api:1"), &image.manifest, &image.store()).await.unwrap();
    check(&registry, &image, "1");
    let seen = server.seen();
    let parts: Vec<_> = seen.iter().filter(|seen| is_upload(seen, "PATCH")).collect();
    let lengths: Vec<usize> = parts.iter().map(|seen| seen.body.len()).collect();
    assert_eq!(lengths, [4 << 20, 4 << 20, 1 << 20]);
}

#[tokio::test]
async fn a_registry_that_takes_nothing_is_an_error_that_names_the_size_threat_32() {
    let image = image("amd64", 9 << 20);
    let registry = Registry::default();
    let server = Server::start(move |seen| match seen.body.len() > 100 << 10 {
        true => Answer::new(413),
        false => registry.answer(seen),
    })
    .await;
    let name = name(&server.address, "api:1");
    let error = client().push(&name, &image.manifest, &image.store()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(told(&error).contains("[smallest part tried: 4194304 bytes]"), "{}", told(&error));
    assert!(error.remedy().unwrap().contains("client_max_body_size"));
}

#[tokio::test]
async fn a_registry_that_forgets_what_it_took_is_given_up_threat_32() {
    let image = image("amd64", 9 << 20);
    let registry = Registry::default();
    let server = Server::start(move |seen| {
        if seen.body.len() > 5 << 20 {
            return Answer::new(413);
        }
        if is_upload(seen, "PATCH") || is_upload(seen, "GET") {
            return Answer::new(202)
                .with("Location", "/v2/api/blobs/uploads/0")
                .with("Range", "0-0");
        }
        registry.answer(seen)
    })
    .await;
    let name = name(&server.address, "api:1");
    let error = client().push(&name, &image.manifest, &image.store()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(told(&error).contains("takes parts of an upload and does not keep them"));
}

#[tokio::test]
async fn an_upload_sent_to_another_host_gets_no_credentials_threat_32() {
    let image = image("amd64", 1000);
    let registry = Arc::new(Registry::default());
    let storage = Server::start({
        let registry = Arc::clone(&registry);
        move |seen| registry.answer(seen)
    })
    .await;
    let target = storage.address.clone();
    let server = Server::start({
        let registry = Arc::clone(&registry);
        move |seen| {
            if seen.header("authorization").is_none() {
                return Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\"");
            }
            let mut answer = registry.answer(seen);
            for (name, value) in &mut answer.headers {
                if name == "Location" {
                    *value = format!("http://{target}{value}");
                }
            }
            answer
        }
    })
    .await;
    let client = client_with(RegistrySettings::default(), alice(&server.address));
    client.push(&name(&server.address, "api:1"), &image.manifest, &image.store()).await.unwrap();
    check(&registry, &image, "1");
    assert_eq!(storage.seen().len(), 2);
    assert!(storage.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn a_token_that_ends_in_mid_upload_is_replaced_threat_32() {
    let image = image("amd64", 300_000);
    let registry = Arc::new(Registry::default());
    let times = AtomicUsize::new(0);
    let tokens = Server::start(move |_| {
        let number = times.fetch_add(1, Ordering::Relaxed);
        Answer::new(200).body(format!(r#"{{"token":"t{number}","expires_in":300}}"#))
    })
    .await;
    let challenge = format!(r#"Bearer realm="http://{}/t""#, tokens.address);
    let server = Server::start({
        let registry = Arc::clone(&registry);
        let is_ended = AtomicBool::new(false);
        move |seen| {
            let is_layer = seen.body.len() == 300_000;
            let is_old = is_ended.load(Ordering::Relaxed)
                && seen.header("authorization") == Some("Bearer t0");
            if seen.header("authorization").is_none()
                || is_old
                || is_layer && !is_ended.swap(true, Ordering::Relaxed)
            {
                return Answer::new(401).with("WWW-Authenticate", &challenge);
            }
            registry.answer(seen)
        }
    })
    .await;
    let client = client_with(RegistrySettings::default(), alice(&server.address));
    client.push(&name(&server.address, "api:1"), &image.manifest, &image.store()).await.unwrap();
    check(&registry, &image, "1");
    assert_eq!(tokens.seen().len(), 2);
}

#[tokio::test]
async fn a_layer_of_another_repository_is_mounted() {
    let image = image("amd64", 1000);
    let registry = Registry::with(&image, "1");
    let server = Server::start({
        let registry = Arc::clone(&registry);
        move |seen| match seen.method == "HEAD" && seen.path().contains("/acme/new/blobs/") {
            // It has the blob, but not in this repository.
            true => missing("BLOB_UNKNOWN"),
            false => registry.answer(seen),
        }
    })
    .await;
    let (client, store) = (client(), image.store());
    client.pull(&name(&server.address, "acme/base:1"), None, &store).await.unwrap();
    client.push(&name(&server.address, "acme/new:2"), &image.manifest, &store).await.unwrap();
    let mounts: Vec<String> = server
        .seen()
        .iter()
        .filter(|seen| seen.target.contains("mount="))
        .map(ToString::to_string)
        .collect();
    let layer = digest(&image.layer).to_string().replace(':', "%3A");
    let expected = format!("POST /v2/acme/new/blobs/uploads/?mount={layer}&from=acme%2Fbase");
    assert_eq!(mounts, [expected]);
    assert!(!server.seen().iter().any(|seen| seen.body == image.layer));
}

#[tokio::test]
async fn a_mount_that_is_not_made_is_an_upload_like_any_other() {
    // SPEC: OCI distribution 1.1, "Mounting a blob": a registry that does not mount opens an upload. Others refuse.
    for status in [202, 403] {
        let image = image("amd64", 1000);
        let registry = Registry::with(&image, "1");
        let server = Server::start({
            let registry = Arc::clone(&registry);
            move |seen| {
                if seen.method == "HEAD" && seen.path().contains("/acme/new/blobs/") {
                    return missing("BLOB_UNKNOWN");
                }
                if !seen.target.contains("mount=") {
                    return registry.answer(seen);
                }
                if status == 403 {
                    return Answer::new(403).body(r#"{"errors":[{"code":"DENIED"}]}"#);
                }
                let mut plain = seen.clone();
                plain.target = plain.path().to_owned();
                registry.answer(&plain)
            }
        })
        .await;
        let (client, store) = (client(), image.store());
        client.pull(&name(&server.address, "acme/base:1"), None, &store).await.unwrap();
        client.push(&name(&server.address, "acme/new:2"), &image.manifest, &store).await.unwrap();
        let posts = server.seen().iter().filter(|seen| is_upload(seen, "POST")).count();
        // For the layer and the config, and for the layer once more where the mount was refused.
        assert_eq!(posts, if status == 202 { 2 } else { 3 }, "{status}");
        assert!(server.seen().iter().any(|seen| seen.body == image.layer), "{status}");
        check(&registry, &image, "2");
    }
}

#[tokio::test]
async fn a_mount_asks_for_the_right_to_read_where_it_mounts_from() {
    let tokens = Server::start(|_| Answer::new(200).body(r#"{"token":"t1"}"#)).await;
    let realm = format!("http://{}/token", tokens.address);
    let image = image("amd64", 1000);
    let registry = Registry::with(&image, "1");
    let server = Server::start(move |seen| {
        if seen.header("authorization").is_none() {
            let challenge = format!(r#"Bearer realm="{realm}",service="s""#);
            return Answer::new(401).with("WWW-Authenticate", challenge);
        }
        match seen.method == "HEAD" && seen.path().contains("/acme/new/blobs/") {
            true => missing("BLOB_UNKNOWN"),
            false => registry.answer(seen),
        }
    })
    .await;
    let (client, store) = (client(), image.store());
    client.pull(&name(&server.address, "acme/base:1"), None, &store).await.unwrap();
    client.push(&name(&server.address, "acme/new:2"), &image.manifest, &store).await.unwrap();
    let asked: Vec<String> = tokens.seen().iter().map(|seen| seen.target.clone()).collect();
    let both = |target: &&String| {
        target.contains("scope=repository%3Aacme%2Fbase%3Apull")
            && target.contains("scope=repository%3Aacme%2Fnew%3Apull%2Cpush")
    };
    assert_eq!(asked.iter().filter(both).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn a_tag_that_must_not_move_is_a_conflict_threat_30() {
    for status in [400, 409, 412] {
        let image = image("amd64", 10);
        let registry = Registry::default();
        let server = Server::start(move |seen| match seen.is("PUT", "/v2/api/manifests/1") {
            true => Answer::new(status)
                .body(r#"{"errors":[{"code":"TAG_INVALID","message":"the tag is immutable"}]}"#),
            false => registry.answer(seen),
        })
        .await;
        let name = name(&server.address, "api:1");
        let error = client().push(&name, &image.manifest, &image.store()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{status}");
        assert_eq!(error.remedy(), Some("push to another tag"));
    }
}

#[tokio::test]
async fn a_registry_that_stores_something_else_is_found_out_threat_30() {
    let image = image("amd64", 10);
    let registry = Registry::default();
    let server = Server::start(move |seen| match seen.is("PUT", "/v2/api/manifests/1") {
        true => Answer::new(201).with("Docker-Content-Digest", digest(b"else").to_string()),
        false => registry.answer(seen),
    })
    .await;
    let name = name(&server.address, "api:1");
    let error = client().push(&name, &image.manifest, &image.store()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

/// A page to sign in, in the place of the registry, says yes to everything.
#[tokio::test]
async fn a_page_in_the_place_of_the_registry_took_nothing() {
    let image = image("amd64", 10);
    for only_manifests in [false, true] {
        let registry = Registry::default();
        let server = Server::start(move |seen| {
            match !only_manifests || seen.is("PUT", "/v2/api/manifests/1") {
                true => Answer::new(200).with("Content-Type", "text/html").body("<p>Welcome"),
                false => registry.answer(seen),
            }
        })
        .await;
        let name = name(&server.address, "api:1");
        let error = client().push(&name, &image.manifest, &image.store()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.remedy().unwrap().contains("not a proxy"), "{}", told(&error));
    }
}

/// Quay calls its empty answers HTML.
#[tokio::test]
async fn an_answer_that_is_called_html_and_says_where_is_one() {
    let image = image("amd64", 10);
    let registry = Arc::new(Registry::default());
    let server = Server::start({
        let registry = Arc::clone(&registry);
        move |seen| {
            let answer = registry.answer(seen);
            let writes = ["POST", "PUT", "PATCH"].contains(&seen.method.as_str());
            if writes { answer.with("Content-Type", "text/html; charset=utf-8") } else { answer }
        }
    })
    .await;
    let name = name(&server.address, "api:1");
    client().push(&name, &image.manifest, &image.store()).await.unwrap();
    check(&registry, &image, "1");
}
