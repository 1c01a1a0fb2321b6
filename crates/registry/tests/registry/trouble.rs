//! Registries in trouble: what is worth repeating is repeated, and the rest is told.

use std::sync::atomic::{AtomicUsize, Ordering};

use std::time::Duration;

use boxwright_core::{ErrorKind, RegistrySetting, RegistrySettings};
use boxwright_registry::Retries;

use crate::server::{Answer, Server, listener};
use crate::setup::{Registry, alice, client, client_with, image, name, told};

/// Starts a registry whose first answers for a manifest are `first`.
async fn stumbling(first: Vec<Answer>) -> Server {
    let registry = Registry::with(&image("amd64", 10), "1");
    let times = AtomicUsize::new(0);
    Server::start(move |seen| {
        if !seen.path().contains("/manifests/") {
            return registry.answer(seen);
        }
        let number = times.fetch_add(1, Ordering::Relaxed);
        first.get(number).cloned().unwrap_or_else(|| registry.answer(seen))
    })
    .await
}

#[tokio::test]
async fn trouble_that_passes_is_not_noticed_threat_32() {
    for status in [408, 429, 500, 502, 503, 504] {
        let first = vec![Answer::new(status), Answer::new(status).with("Retry-After", "0")];
        let server = stumbling(first).await;
        client().resolve(&name(&server.address, "api:1"), None).await.unwrap();
        assert_eq!(server.count("GET", "/v2/api/manifests/1"), 3, "{status}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again_threat_32() {
    let server = stumbling(vec![Answer::new(200).body("not all").cut_after(3)]).await;
    client().resolve(&name(&server.address, "api:1"), None).await.unwrap();
    assert_eq!(server.count("GET", "/v2/api/manifests/1"), 2);
    let server = Server::start_interrupting(
        {
            let registry = Registry::with(&image("amd64", 10), "1");
            move |seen| registry.answer(seen)
        },
        {
            let times = AtomicUsize::new(0);
            move |seen| {
                let is_manifest = seen.path().contains("/manifests/");
                (is_manifest && times.fetch_add(1, Ordering::Relaxed) == 0).then_some(0)
            }
        },
    )
    .await;
    client().resolve(&name(&server.address, "api:1"), None).await.unwrap();
    assert_eq!(server.count("GET", "/v2/api/manifests/1"), 2);
}

#[tokio::test]
async fn a_pause_beyond_the_limit_is_an_error_that_names_it_threat_32() {
    let server = stumbling(vec![Answer::new(429).with("Retry-After", "3600")]).await;
    let error = client().resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(told(&error).contains("[asks to wait: 3600 seconds]"), "{}", told(&error));
    assert_eq!(server.count("GET", "/v2/api/manifests/1"), 1);
}

#[tokio::test]
async fn trouble_that_stays_is_told_with_the_number_of_attempts() {
    let server = stumbling(vec![Answer::new(503); 9]).await;
    let error = client().resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(told(&error).contains("503 Service Unavailable"), "{}", told(&error));
    assert!(told(&error).contains("[attempts: 4]"), "{}", told(&error));
    assert_eq!(server.count("GET", "/v2/api/manifests/1"), 4);
}

#[tokio::test]
async fn each_refusal_has_its_kind_its_cause_and_its_remedy() {
    let errors = r#"{"errors":[{"code":"DENIED","message":"not yours\u0007"}]}"#;
    for (status, kind, says) in [
        (
            403,
            ErrorKind::Unauthorized,
            "does not allow it to this user (403 Forbidden): DENIED: not yours =>",
        ),
        (404, ErrorKind::NotFound, "does not have it (404 Not Found): DENIED: not yours =>"),
        (405, ErrorKind::Unsupported, "does not do that (405 Method Not Allowed)"),
        (409, ErrorKind::Conflict, "(409 Conflict)"),
        (413, ErrorKind::Exhausted, "takes no request that large (413 Payload Too Large)"),
        (418, ErrorKind::Protocol, "answered `418"),
    ] {
        let refusal = Answer::new(status).body(errors);
        let server = Server::start(move |seen| match seen.header("authorization") {
            None => Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\""),
            Some(_) => refusal.clone(),
        })
        .await;
        let client = client_with(RegistrySettings::default(), alice(&server.address));
        let error = client.resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
        assert!(told(&error).contains(says), "{}", told(&error));
    }
}

#[tokio::test]
async fn a_web_page_is_not_taken_for_a_registry() {
    let page = |status| Answer::new(status).with("Content-Type", "text/html; charset=utf-8");
    for (status, says) in [(200, "a page instead of a manifest"), (404, "with an HTML page")] {
        let answer = page(status).body("<html>hello</html>");
        let server = Server::start(move |_| answer.clone()).await;
        let error = client().resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
        assert!(told(&error).contains(says), "{}", told(&error));
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named() {
    let listener = listener().await;
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = client().resolve(&name(&format!("localhost:{port}"), "api:1"), None).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let says = format!("`localhost:{port}` refused the connection");
    assert!(told(&error).contains(&says), "{}", told(&error));
}

#[tokio::test]
async fn a_metadata_service_is_no_registry_threat_35() {
    let error = client().resolve(&name("169.254.169.254", "api:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(told(&error).contains("is a link-local address"), "{}", told(&error));
    let server = Server::start(|_| {
        Answer::new(302).with("Location", "https://169.254.169.254/latest/meta-data/")
    })
    .await;
    let error = client().resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert!(told(&error).contains("is a link-local address"), "{}", told(&error));
}

#[tokio::test]
async fn a_silent_registry_is_not_waited_for_threat_32() {
    let retries = Retries {
        attempts: 2,
        first_pause: Duration::ZERO,
        longest_silence: Duration::from_millis(400),
        ..Retries::default()
    };
    let server = stumbling(vec![Answer::new(200).body("all").with("Content-Length", "9"); 2]).await;
    let client = client().with_retries(retries);
    let error = client.resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(told(&error).contains("was silent for 0.4 seconds"), "{}", told(&error));
    assert_eq!(server.count("GET", "/v2/api/manifests/1"), 2);
}

#[tokio::test]
async fn a_registry_that_never_answers_is_said_to_be_waited_for_and_given_up_threat_32() {
    // Connections are taken by the kernel and never answered.
    let listener = listener().await;
    let address = listener.local_addr().unwrap().to_string();
    let (sink, mut events) = boxwright_core::EventSink::channel();
    let retries = Retries {
        first_pause: Duration::ZERO,
        longest_silence: Duration::from_millis(300),
        longest_connecting: Duration::from_millis(300),
        quiet_wait: Duration::from_millis(50),
        ..Retries::for_questions()
    };
    let client = client().with_retries(retries).with_events(sink);
    let error = client.check_push(&name(&address, "api:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(told(&error).contains("was silent for 0.3 seconds"), "{}", told(&error));
    assert!(told(&error).contains("=> check that"), "{}", told(&error));
    drop(client);
    let mut notices = Vec::new();
    while let Some(event) = events.recv().await {
        notices.push(format!("{event:?}"));
    }
    // Once, however often it was asked.
    let says = format!("Notice {{ message: \"waiting for `{address}` to answer\" }}");
    assert_eq!(notices, [says]);
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::start(|_| Answer::new(302).with("Location", "/v2/again")).await;
    let error = client().resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert!(told(&error).contains("redirected more than 5 times"), "{}", told(&error));
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_threat_10() {
    let server = Server::start(|seen| match seen.path() {
        "/v2/" => Answer::new(200),
        _ => Answer::new(200).body(vec![b' '; (4 << 20) + 1]),
    })
    .await;
    let error = client().resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert!(told(&error).contains("more than 4194304 bytes"), "{}", told(&error));
}

#[tokio::test]
async fn half_a_client_certificate_is_refused_before_anything_is_asked() {
    let server = Server::start(|_| Answer::new(200)).await;
    let mut setting = RegistrySetting::default();
    setting.client_key = Some("/nowhere/key.pem".into());
    let settings = RegistrySettings([(server.address.clone(), setting)].into());
    let client = client_with(settings, alice("nobody"));
    let error = client.resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.remedy(), Some("set both `client-certificate` and `client-key`"));
    assert!(server.seen().is_empty());
}
