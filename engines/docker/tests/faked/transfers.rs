//! Pushes and pulls: the credential, the digest, and what is taken back.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use boxwright_core::{
    Credential, Credentials, ErrorKind, PullRequest, PushRequest, Result, Secret, async_trait,
};

use crate::daemon::{FakeDaemon, Reply, answer};
use crate::{open, session};

/// A password that tells the two alphabets of base64 apart.
const PASSWORD: &str = "abc>>>def???~~~";

#[derive(Debug)]
struct Alice;

#[async_trait]
impl Credentials for Alice {
    async fn for_registry(&self, _: &str) -> Result<Option<Credential>> {
        Ok(Some(Credential::Password { user: "alice".into(), password: Secret::from(PASSWORD) }))
    }
}

fn password(header: &str) -> serde_json::Value {
    let bytes = URL_SAFE.decode(header).unwrap();
    serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()["password"].clone()
}

#[tokio::test]
async fn a_push_sends_the_credential_and_returns_the_digest() {
    let daemon = FakeDaemon::docker();
    daemon.on("POST /images/", answer(include_str!("../recorded/20.10/push.ndjson")));
    let engine = open(&daemon, "classic").await;
    let mut session = session();
    session.credentials = Arc::new(Alice);
    let request = PushRequest::new("r.example:5000/a/b:1".parse().unwrap());
    let pushed = engine.push(&request, &session).await.unwrap();
    let digest = "sha256:6d7426bb2d02b1bd35a01ac8dcc73805ec5c6e5b2da45860e99ab87840185041";
    assert_eq!(pushed.digest.as_str(), digest);
    let sent = &daemon.received("POST /images/r.example:5000/a/b/push?tag=1")[0];
    assert_eq!(password(sent.header("x-registry-auth").unwrap()), PASSWORD);
}

#[tokio::test]
async fn a_push_without_a_digest_is_no_success() {
    let daemon = FakeDaemon::docker();
    daemon.on("POST /images/", answer("{\"status\":\"Pushed\",\"id\":\"a\"}\n"));
    let engine = open(&daemon, "classic").await;
    let request = PushRequest::new("r.example/a:1".parse().unwrap());
    let error = engine.push(&request, &session()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_setting_that_the_daemon_ignores_stops_a_push_before_it_starts() {
    let daemon = FakeDaemon::docker();
    let engine = open(&daemon, "classic").await;
    let mut session = session();
    let settings = r#"{"r.example": {"insecure": true}}"#;
    session.registries = Arc::new(serde_json::from_str(settings).unwrap());
    let request = PushRequest::new("r.example/a:1".parse().unwrap());
    let error = engine.push(&request, &session).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.remedy().unwrap().contains("insecure-registries"), "{error:?}");
    assert!(daemon.received("POST").is_empty());
}

#[tokio::test]
async fn a_cancelled_push_closes_its_connection() {
    let daemon = FakeDaemon::docker();
    daemon.on("POST /images/", Reply::Unfinished("{\"status\":\"Preparing\"}\n".into()));
    let engine = open(&daemon, "classic").await;
    let session = session();
    let request = PushRequest::new("r.example/a:1".parse().unwrap());
    let cancel = async {
        while daemon.received("POST").is_empty() {
            tokio::task::yield_now().await;
        }
        session.cancel.cancel();
    };
    let (result, ()) = tokio::join!(engine.push(&request, &session), cancel);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    daemon.closed().await;
}

#[tokio::test]
async fn a_pull_for_another_platform_is_taken_back() {
    let daemon = FakeDaemon::docker();
    let before = format!("sha256:{}", "b".repeat(64));
    let image = |id: &str, processor: &str| {
        answer(&format!(r#"{{"Id":"{id}","Os":"linux","Architecture":"{processor}"}}"#))
    };
    daemon.on("GET /images/r.example/a:1/json", image(&before, "arm64"));
    daemon.on(
        "GET /images/r.example/a:1/json",
        image(&format!("sha256:{}", "c".repeat(64)), "amd64"),
    );
    daemon.on("POST /images/create", answer("{\"status\":\"Pulling from a\",\"id\":\"1\"}\n"));
    daemon.on(&format!("POST /images/{before}/tag"), Reply::Answer(201, String::new()));
    let engine = open(&daemon, "classic").await;
    let mut session = session();
    session.credentials = Arc::new(Alice);
    let mut request = PullRequest::new("r.example/a:1".parse().unwrap());
    request.platform = Some("linux/arm64".parse().unwrap());
    let error = engine.pull(&request, &session).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        daemon.received(&format!("POST /images/{before}/tag?repo=r.example%2Fa&tag=1")).len(),
        1
    );
    let sent = &daemon.received("POST /images/create")[0];
    assert_eq!(password(sent.header("x-registry-auth").unwrap()), PASSWORD);
}
