//! Authorization: what is asked for is given, to whom it belongs, and to nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use boxwright_core::{Credential, ErrorKind, RegistrySettings, Secret};

use crate::server::{Answer, Seen, Server};
use crate::setup::{One, Registry, Store, alice, client, client_with, image, name, told};

/// `alice:canary` in base64.
const BASIC: &str = "Basic YWxpY2U6Y2FuYXJ5";

/// Answers like `registry`, but only to requests with `token`, which is to be had at `realm`.
fn guarded(registry: &Registry, seen: &Seen, realm: &str, token: &str) -> Answer {
    if seen.header("authorization") == Some(&format!("Bearer {token}")) {
        return registry.answer(seen);
    }
    let challenge =
        format!(r#"Bearer realm="{realm}",service="the registry",scope="own:name:pull""#);
    Answer::new(401).with("WWW-Authenticate", challenge)
}

fn token(text: &str) -> Answer {
    Answer::new(200).body(format!(r#"{{"token":"{text}","expires_in":300}}"#))
}

#[tokio::test]
async fn a_password_is_sent_only_once_it_is_asked_for() {
    let registry = Registry::with(&image("amd64", 10), "1");
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some(BASIC) => registry.answer(seen),
        _ => Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\""),
    })
    .await;
    let client = client_with(RegistrySettings::default(), alice(&server.address));
    client.pull(&name(&server.address, "api:1"), None, &Store::default()).await.unwrap();
    let sent: Vec<bool> =
        server.seen().iter().map(|seen| seen.header("authorization").is_some()).collect();
    // The question for the scheme has the challenge; nothing after it has to be refused first.
    assert_eq!(sent, [false, true, true, true]);
}

#[tokio::test]
async fn one_token_serves_all_requests_for_a_repository() {
    let tokens = Server::start(|_| token("t1")).await;
    let realm = format!("http://{}/token", tokens.address);
    let registry = Registry::with(&image("amd64", 10), "1");
    let server = Server::start(move |seen| guarded(&registry, seen, &realm, "t1")).await;
    let client = client_with(RegistrySettings::default(), alice(&server.address));
    client.pull(&name(&server.address, "acme/api:1"), None, &Store::default()).await.unwrap();
    let asked = tokens.seen();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), Some(BASIC));
    assert_eq!(
        asked[0].target,
        "/token?service=the+registry&scope=own%3Aname%3Apull&scope=repository%3Aacme%2Fapi%3Apull&account=alice"
    );
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once_threat_32() {
    let times = AtomicUsize::new(0);
    let tokens =
        Server::start(move |_| token(&format!("t{}", times.fetch_add(1, Ordering::Relaxed)))).await;
    let realm = format!("http://{}/token", tokens.address);
    let registry = Registry::with(&image("amd64", 10), "1");
    let server = Server::start(move |seen| {
        // The token of the manifest is no longer good for the blobs.
        let good = if seen.path().contains("/blobs/") { "t1" } else { "t0" };
        guarded(&registry, seen, &realm, good)
    })
    .await;
    client().pull(&name(&server.address, "api:1"), None, &Store::default()).await.unwrap();
    assert_eq!(tokens.seen().len(), 2);
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let tokens = Server::start(|_| Answer::new(200).body(r#"{"access_token":"t1"}"#)).await;
    let realm = format!("http://{}/token", tokens.address);
    let registry = Registry::with(&image("amd64", 10), "1");
    let server = Server::start(move |seen| guarded(&registry, seen, &realm, "t1")).await;
    let identity = Credential::IdentityToken(Secret::from("a&b"));
    let credentials = Arc::new(One(server.address.clone(), identity));
    let client = client_with(RegistrySettings::default(), credentials);
    client.resolve(&name(&server.address, "api:1"), None).await.unwrap();
    let asked = &tokens.seen()[0];
    assert!(asked.is("POST", "/token"), "{asked}");
    assert_eq!(
        String::from_utf8_lossy(&asked.body),
        "grant_type=refresh_token&client_id=boxwright&service=the+registry&\
         scope=own%3Aname%3Apull+repository%3Aapi%3Apull&refresh_token=a%26b"
    );
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[tokio::test]
async fn a_challenge_that_only_the_repository_makes_is_answered_threat_26() {
    let tokens = Server::start(|_| token("t1")).await;
    let realm = format!("http://{}/token", tokens.address);
    let registry = Registry::with(&image("amd64", 10), "1");
    let server = Server::start(move |seen| match seen.path() {
        "/v2/" => Answer::new(200).body("{}"),
        _ => guarded(&registry, seen, &realm, "t1"),
    })
    .await;
    let client = client_with(RegistrySettings::default(), alice(&server.address));
    client.resolve(&name(&server.address, "api:1"), None).await.unwrap();
}

#[tokio::test]
async fn a_password_goes_to_no_realm_without_tls_on_another_host_threat_26() {
    for realm in
        ["http://tokens.example/t", "ftp://tokens.example/t", "https://eve:x@tokens.example/t", "t"]
    {
        let registry = Registry::default();
        let server = Server::start(move |seen| guarded(&registry, seen, realm, "t1")).await;
        let client = client_with(RegistrySettings::default(), alice(&server.address));
        let error = client.resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{realm}");
        assert!(told(&error).contains("names a token server that cannot be used"), "{realm}");
        assert!(!told(&error).contains("canary"));
    }
}

#[tokio::test]
async fn refused_credentials_and_missing_ones_are_told_apart() {
    let server =
        Server::start(|_| Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\"")).await;
    let wanted = name(&server.address, "api:1");
    let client_of_alice = client_with(RegistrySettings::default(), alice(&server.address));
    let error = client_of_alice.resolve(&wanted, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(
        told(&error).contains("refused the credentials (401 Unauthorized)"),
        "{}",
        told(&error)
    );
    assert!(error.remedy().unwrap().starts_with("log in again with `boxwright login localhost:"));
    let error = client().resolve(&wanted, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(told(&error).contains("wants credentials, and there are none"), "{}", told(&error));
}

#[tokio::test]
async fn a_token_server_that_refuses_is_an_error_and_not_anonymous_access() {
    let tokens = Server::start(|_| Answer::new(403)).await;
    let realm = format!("http://{}/token", tokens.address);
    let registry = Registry::with(&image("amd64", 10), "1");
    let server = Server::start(move |seen| guarded(&registry, seen, &realm, "t1")).await;
    let client = client_with(RegistrySettings::default(), alice(&server.address));
    let error = client.resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(told(&error).contains("refused the credentials (403 Forbidden)"), "{}", told(&error));
    assert_eq!(tokens.seen().len(), 1);
}

#[tokio::test]
async fn a_good_token_without_the_right_is_not_called_a_wrong_password() {
    let tokens = Server::start(|_| token("t1")).await;
    let challenge =
        format!(r#"Bearer realm="http://{}/t",error="insufficient_scope""#, tokens.address);
    let server =
        Server::start(move |_| Answer::new(401).with("WWW-Authenticate", &challenge)).await;
    let client = client_with(RegistrySettings::default(), alice(&server.address));
    let error = client.resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert!(told(&error).contains("does not allow it to this user"), "{}", told(&error));
}

#[tokio::test]
async fn a_credential_goes_to_its_own_registry_only_threat_25() {
    let server =
        Server::start(|_| Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\"")).await;
    let client = client_with(RegistrySettings::default(), alice("ghcr.io"));
    client.resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
}
