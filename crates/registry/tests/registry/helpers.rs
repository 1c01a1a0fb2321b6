//! Credential helpers: what they answer, and what a broken one stops.

use std::time::Duration;

use boxwright_core::{Credential, Credentials as _, ErrorKind, Secret};
use boxwright_registry::StoredCredentials;

use crate::credentials::{CONFIG, Home, found, password};
use crate::setup::told;

#[tokio::test]
async fn helpers_answer_in_many_ways_threat_33() {
    let home = Home::new();
    let answer = |text: &str| format!("cat <<'EOF'\n{text}\nEOF");
    for (script, expected) in [
        (
            answer(r#"{"ServerURL":"h.io","Username":"u","Secret":"p"}"#),
            Ok(Some(password("u", "p"))),
        ),
        (
            answer(r#"{"Username":"<token>","Secret":"t"}"#),
            Ok(Some(Credential::IdentityToken(Secret::from("t")))),
        ),
        (answer(r#"{"Username":"","Secret":""}"#), Ok(None)),
        ("echo 'credentials not found in native keychain'; exit 1".to_owned(), Ok(None)),
        (answer(r#"{"Username":"","Secret":"canary"}"#), Err("a password without a user's name")),
        (answer("canary"), Err("did not answer in JSON")),
        ("echo canary >&2; echo canary; exit 3".to_owned(), Err("ended with status 3")),
    ] {
        home.helper("h", &script);
        home.write(CONFIG, r#"{"credHelpers":{"h.io":"h"}}"#);
        let credentials = StoredCredentials::open(&home.host(&[])).unwrap();
        match (credentials.for_registry("h.io").await, expected) {
            (Ok(is), Ok(expected)) => assert_eq!(is, expected, "{script}"),
            (Err(error), Err(says)) => {
                let told = told(&error);
                assert!(told.contains(says), "{told}");
                assert!(told.contains("`docker-credential-h`"), "{told}");
                assert!(told.contains("[named in: "), "{told}");
                assert!(
                    error.remedy().is_some_and(|it| it.contains("docker-credential-h")),
                    "{told}"
                );
                assert!(!told.contains("canary"), "{told}");
            }
            (is, expected) => panic!("{script}: {is:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_helper_gets_docker_hubs_odd_name_and_is_looked_up_in_path_only_threat_33() {
    let home = Home::new();
    home.helper("h", r#"read server; echo "{\"Username\":\"$server\",\"Secret\":\"x\"}""#);
    home.write(CONFIG, r#"{"credsStore":"h"}"#);
    let hub = home.found("docker.io", "library/alpine").await;
    assert_eq!(hub.as_deref(), Some("https://index.docker.io/v1/"));
    for name in ["../bin/docker-credential-h", "/bin/sh", "a b", "h;ls"] {
        home.write(CONFIG, &format!(r#"{{"credHelpers":{{"a.b":"{name}"}}}}"#));
        let credentials = StoredCredentials::open(&home.host(&[])).unwrap();
        let error = credentials.for_registry("a.b").await.unwrap_err();
        assert!(told(&error).contains("is not the name of a credential helper"), "{name}");
    }
}

#[tokio::test]
async fn a_helper_that_is_gone_stops_only_what_it_keeps_threat_33() {
    let home = Home::new();
    home.write(
        CONFIG,
        r#"{"credsStore":"desktop","auths":{"kept.io":{},"plain.io":{"auth":"YTpi"}}}"#,
    );
    let credentials = StoredCredentials::open(&home.host(&[])).unwrap();
    assert_eq!(found(&credentials, "public.io", "x").await, None);
    assert_eq!(found(&credentials, "plain.io", "x").await.as_deref(), Some("a"));
    let warnings = credentials.take_warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("`docker-credential-desktop`, which is not in `PATH`"));
    assert!(credentials.take_warnings().is_empty());
    let error = credentials.for_registry("kept.io").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.remedy().unwrap().contains("install `docker-credential-desktop`"));
}

#[tokio::test]
async fn a_helper_that_waits_for_somebody_is_ended_threat_33() {
    let home = Home::new();
    home.helper("h", "exec sleep 600");
    home.write(CONFIG, r#"{"credHelpers":{"a.b":"h"}}"#);
    let credentials = StoredCredentials::open(&home.host(&[])).unwrap();
    let credentials = credentials.with_helper_limit(Duration::from_millis(50));
    let error = credentials.for_registry("a.b").await.unwrap_err();
    assert!(told(&error).contains("cannot ask the credential helper"), "{}", told(&error));
    assert!(error.remedy().unwrap().contains("| docker-credential-h get` in a terminal"));
}
