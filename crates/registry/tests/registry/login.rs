//! Login and logout: verified, then stored, then found, then gone.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;

use boxwright_core::{Credential, Credentials as _, ErrorKind, Host, RegistrySettings, Secret};
use boxwright_registry::{StoredCredentials, login, logout};

use crate::credentials::{CONFIG, Home, password};
use crate::server::{Answer, Server};
use crate::setup::told;

#[tokio::test]
async fn a_right_password_is_verified_and_a_wrong_one_refused() {
    let server = Server::start(|seen| match seen.header("authorization") {
        Some("Basic YWxpY2U6cmlnaHQ=") => Answer::new(200).body("{}"),
        _ => Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\""),
    })
    .await;
    let host = Home::new().host(&[]);
    for (secret, succeeds) in [("right", true), ("wrong", false)] {
        let credential = password("alice", secret);
        let verified = login::verify(&host, Arc::default(), &server.address, &credential).await;
        assert_eq!(verified.is_ok(), succeeds);
        if let Err(error) = verified {
            assert_eq!(error.kind(), ErrorKind::Unauthorized);
            assert!(error.remedy().unwrap().starts_with("check the name and the password"));
            assert!(!told(&error).contains("wrong"), "{}", told(&error));
        }
    }
}

#[tokio::test]
async fn a_web_site_is_not_logged_in_to() {
    let server = Server::start(|_| Answer::new(200).with("Content-Type", "text/html")).await;
    let host = Home::new().host(&[]);
    let settings = Arc::new(RegistrySettings::default());
    let verified = login::verify(&host, settings, &server.address, &password("alice", "x")).await;
    assert_eq!(verified.unwrap_err().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn what_is_stored_is_found_and_can_be_removed() {
    for registry in ["ghcr.io", "docker.io", "", "localhost:5000", "ghcr.io/acme"] {
        let home = Home::new();
        let host = home.host(&[]);
        let stored = login::store(&host, registry, &password("alice", "canary")).await.unwrap();
        assert_eq!(stored.stored_in, home.path(CONFIG).display().to_string());
        assert!(stored.warnings[0].starts_with("the password is stored unencrypted"));
        let mode = home.path(CONFIG).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let host_name = match registry {
            "" => "docker.io",
            registry => registry.split('/').next().unwrap(),
        };
        let credentials = StoredCredentials::open(&host).unwrap();
        let found = credentials.for_repository(host_name, "acme/api").await.unwrap();
        assert_eq!(found, Some(password("alice", "canary")), "{registry}");
        let out = logout(&host, registry).await.unwrap();
        assert_eq!(out.removed_from, [home.path(CONFIG).display().to_string()]);
        assert!(out.remaining_in.is_empty());
        let credentials = StoredCredentials::open(&host).unwrap();
        assert_eq!(credentials.for_repository(host_name, "acme/api").await.unwrap(), None);
        assert!(logout(&host, registry).await.unwrap().removed_from.is_empty());
    }
}

#[tokio::test]
async fn docker_hub_is_stored_by_the_name_that_docker_uses() {
    let home = Home::new();
    home.write(CONFIG, r#"{"auths":{"docker.io":{"auth":"b2xkOm9sZA=="}}}"#);
    login::store(&home.host(&[]), "docker.io", &password("alice", "pass")).await.unwrap();
    let file: serde_json::Value = serde_json::from_str(&home.read(CONFIG)).unwrap();
    let expected = serde_json::json!({"https://index.docker.io/v1/": {"auth": "YWxpY2U6cGFzcw=="}});
    assert_eq!(file["auths"], expected);
}

#[tokio::test]
async fn unknown_fields_and_the_target_of_a_link_are_kept_threat_34() {
    let home = Home::new();
    home.write(
        "dotfiles/config.json",
        r#"{"psFormat":"x","auths":{"quay.io":{"auth":"YTpi","email":"a@b"}},"n":1.5}"#,
    );
    std::fs::create_dir(home.path(".docker")).unwrap();
    symlink("../dotfiles/config.json", home.path(CONFIG)).unwrap();
    let host = home.host(&[]);
    login::store(&host, "ghcr.io", &password("alice", "pass")).await.unwrap();
    assert!(home.path(CONFIG).symlink_metadata().unwrap().is_symlink());
    let file: serde_json::Value = serde_json::from_str(&home.read("dotfiles/config.json")).unwrap();
    assert_eq!(file["psFormat"], "x");
    assert_eq!(file["n"], 1.5);
    assert_eq!(file["auths"]["quay.io"]["email"], "a@b");
    logout(&host, "ghcr.io").await.unwrap();
    let file: serde_json::Value = serde_json::from_str(&home.read("dotfiles/config.json")).unwrap();
    assert_eq!(file["auths"], serde_json::json!({"quay.io": {"auth": "YTpi", "email": "a@b"}}));
    assert_eq!(std::fs::read_dir(home.path("dotfiles")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_link_to_a_file_that_is_not_there_yet_is_kept() {
    let home = Home::new();
    std::fs::create_dir_all(home.path(".docker")).unwrap();
    std::fs::create_dir_all(home.path("dotfiles")).unwrap();
    symlink("../dotfiles/config.json", home.path(CONFIG)).unwrap();
    login::store(&home.host(&[]), "ghcr.io", &password("alice", "pass")).await.unwrap();
    assert!(home.read("dotfiles/config.json").contains("ghcr.io"));
}

#[tokio::test]
async fn a_file_that_a_variable_names_is_the_one_written() {
    let home = Home::new();
    let file = home.path("auth.json").display().to_string();
    let host = home.host(&[("REGISTRY_AUTH_FILE", &file)]);
    login::store(&host, "ghcr.io", &password("alice", "pass")).await.unwrap();
    assert!(home.read("auth.json").contains("ghcr.io"));
    assert!(!home.path(CONFIG).exists());
    // Of both it is removed: `login` may have been called without the variable before.
    login::store(&home.host(&[]), "ghcr.io", &password("alice", "pass")).await.unwrap();
    assert_eq!(logout(&host, "ghcr.io").await.unwrap().removed_from.len(), 2);
}

#[tokio::test]
async fn what_others_stored_is_named_and_left_alone() {
    let home = Home::new();
    home.write(".config/containers/auth.json", r#"{"auths":{"ghcr.io":{"auth":"YTpi"}}}"#);
    let out = logout(&home.host(&[]), "ghcr.io").await.unwrap();
    let file = home.path(".config/containers/auth.json").display().to_string();
    assert_eq!((out.removed_from, out.remaining_in), (Vec::new(), vec![file]));
}

#[tokio::test]
async fn a_configured_helper_keeps_the_password() {
    let home = Home::new();
    home.write(CONFIG, r#"{"credsStore":"box"}"#);
    let (kept, path) = (home.path("kept"), home.path("bin").display().to_string());
    let kept = kept.display();
    home.helper(
        "box",
        &format!(
            r#"case $1 in
store) cat > {kept} ;;
erase) rm {kept} ;;
get) if [ -f {kept} ]; then cat {kept}; else echo "credentials not found in native keychain"; exit 1; fi ;;
esac"#
        ),
    );
    let host = home.host(&[("PATH", &format!("{path}:/usr/bin:/bin"))]);
    let stored = login::store(&host, "ghcr.io", &password("alice", "canary")).await.unwrap();
    assert_eq!(stored.stored_in, "docker-credential-box");
    assert!(stored.warnings.is_empty());
    assert!(!home.read(CONFIG).contains("canary"));
    assert_eq!(
        home.read("kept"),
        r#"{"ServerURL":"ghcr.io","Username":"alice","Secret":"canary"}"#
    );
    let credentials = StoredCredentials::open(&host).unwrap();
    let found = credentials.for_registry("ghcr.io").await.unwrap();
    assert_eq!(found, Some(password("alice", "canary")));
    let out = logout(&host, "ghcr.io").await.unwrap();
    assert_eq!(out.removed_from, ["docker-credential-box"]);
    assert!(!home.path("kept").exists());
}

#[tokio::test]
async fn a_variable_that_wins_over_the_file_is_named() {
    let home = Home::new();
    let inline = r#"{"auths":{"ghcr.io":{"auth":"YTpi"}}}"#;
    let host = home.host(&[("DOCKER_AUTH_CONFIG", inline)]);
    let stored = login::store(&host, "ghcr.io", &password("alice", "x")).await.unwrap();
    assert!(stored.warnings[0].starts_with("`DOCKER_AUTH_CONFIG` has an entry for `ghcr.io`"));
    let out = logout(&host, "ghcr.io").await.unwrap();
    assert_eq!(out.remaining_in, ["DOCKER_AUTH_CONFIG"]);
}

#[tokio::test]
async fn nothing_is_stored_where_there_is_no_place_or_no_name() {
    let nowhere = Host::with_variables::<&str, &str>("/", []);
    let alice = password("alice", "x");
    let error = login::store(&nowhere, "ghcr.io", &alice).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let home = Home::new();
    for (registry, credential) in [("ghcr", alice), ("ghcr.io", password("a:b", "x"))] {
        let error = login::store(&home.host(&[]), registry, &credential).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(!home.path(CONFIG).exists());
    let token = Credential::IdentityToken(Secret::from("t"));
    login::store(&home.host(&[]), "ghcr.io", &token).await.unwrap();
    let credentials = StoredCredentials::open(&home.host(&[])).unwrap();
    assert_eq!(credentials.for_registry("ghcr.io").await.unwrap(), Some(token));
}
