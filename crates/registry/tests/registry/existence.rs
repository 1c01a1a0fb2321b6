//! Existence: yes, no, or unknown, and unknown is never yes.

use boxwright_registry::Existence;

use crate::server::{Answer, Server};
use crate::setup::{Registry, client, image, name};

async fn asked(answer: Answer) -> Existence {
    let server = Server::start(move |seen| match seen.path() {
        "/v2/" => Answer::new(200),
        _ => answer.clone(),
    })
    .await;
    client().exists(&name(&server.address, "api:1")).await
}

#[tokio::test]
async fn an_image_that_is_there_is_there_under_its_digest() {
    let image = image("amd64", 10);
    let registry = Registry::with(&image, "1");
    let server = Server::start(move |seen| registry.answer(seen)).await;
    let digest = &image.manifest.descriptor.digest;
    for tag in ["api:1".to_owned(), format!("api@{digest}")] {
        let existence = client().exists(&name(&server.address, &tag)).await;
        assert_eq!(existence, Existence::Yes(digest.clone()));
    }
    assert_eq!(client().exists(&name(&server.address, "api:2")).await, Existence::No);
}

#[tokio::test]
async fn a_registry_that_names_no_digest_is_read() {
    let image = image("amd64", 10);
    let answer = Answer::new(200).body(image.bytes.clone());
    assert_eq!(asked(answer).await, Existence::Yes(image.manifest.descriptor.digest));
}

#[tokio::test]
async fn what_is_not_said_is_unknown_with_the_reason_threat_30() {
    let page = |status: u16| {
        Answer::new(status).with("Content-Type", "text/html").body("<html>not a registry</html>")
    };
    for (answer, says) in [
        (Answer::new(401), "wants credentials"),
        (Answer::new(403), "403 Forbidden"),
        (Answer::new(500), "500 Internal Server Error"),
        (Answer::new(429).with("Retry-After", "900"), "too many requests"),
        (page(404), "HTML page"),
        (page(200), "a page instead of a manifest"),
        (Answer::new(200).body("{}"), "manifest"),
    ] {
        let told = format!("{answer:?}");
        match asked(answer).await {
            Existence::Unknown { why, .. } => assert!(why.contains(says), "{why}"),
            known => panic!("{told}: {known:?}"),
        }
    }
}

#[tokio::test]
async fn a_registry_that_takes_no_head_is_asked_by_get() {
    let image = image("amd64", 10);
    let registry = Registry::with(&image, "1");
    let server = Server::start(move |seen| match seen.method.as_str() {
        "HEAD" => Answer::new(405),
        _ => registry.answer(seen),
    })
    .await;
    let existence = client().exists(&name(&server.address, "api:1")).await;
    assert_eq!(existence, Existence::Yes(image.manifest.descriptor.digest));
    assert_eq!(client().exists(&name(&server.address, "api:2")).await, Existence::No);
}
