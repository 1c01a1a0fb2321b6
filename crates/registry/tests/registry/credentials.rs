//! Stored credentials: where they are found, which one wins, and what broken ones say.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use boxwright_core::{Credential, Credentials as _, ErrorKind, Host, Secret};
use boxwright_registry::StoredCredentials;

use crate::setup::told;

pub const CONFIG: &str = ".docker/config.json";

/// A home folder of its own.
pub struct Home(tempfile::TempDir);

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a file with mode 0600.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// Writes the credential helper `name` into the folder `bin`.
    pub fn helper(&self, name: &str, script: &str) {
        let file = format!("bin/docker-credential-{name}");
        self.write(&file, &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(self.path(&file), PermissionsExt::from_mode(0o700)).unwrap();
    }

    /// Returns a machine with this home, its `bin` in `PATH`, and the variables in `more`.
    pub fn host(&self, more: &[(&str, &str)]) -> Host {
        let text = |name: &str| self.path(name).display().to_string();
        let mut all = vec![
            ("HOME", text("")),
            ("XDG_RUNTIME_DIR", text("run")),
            ("PATH", format!("{}:/usr/bin:/bin", text("bin"))),
        ];
        all.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        all.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Host::with_variables(self.path(""), all)
    }

    pub async fn found(&self, host: &str, repository: &str) -> Option<String> {
        found(&StoredCredentials::open(&self.host(&[])).unwrap(), host, repository).await
    }
}

pub fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: user.into(), password: Secret::from(password) }
}

/// Returns the user's name of what is found, which names the place it was found in.
pub async fn found(
    credentials: &StoredCredentials,
    host: &str,
    repository: &str,
) -> Option<String> {
    match credentials.for_repository(host, repository).await.unwrap()? {
        Credential::Password { user, .. } => Some(user),
        other => Some(format!("{other:?}")),
    }
}

fn entry(key: &str, user: &str) -> String {
    format!(r#"{{"auths":{{"{key}":{{"username":"{user}","password":"canary"}}}}}}"#)
}

#[tokio::test]
async fn the_first_place_that_has_one_wins() {
    let home = Home::new();
    let places = [
        ("named.json", "named"),
        (CONFIG, "docker"),
        ("run/containers/auth.json", "runtime"),
        (".config/containers/auth.json", "config"),
    ];
    let named = home.path("named.json").display().to_string();
    let inline = entry("a.b", "inline");
    let mut more = vec![
        ("REGISTRY_AUTH_FILE", named.as_str()),
        ("DOCKER_AUTH_CONFIG", inline.as_str()),
        ("BOXWRIGHT_REGISTRY", "a.b"),
        ("BOXWRIGHT_REGISTRY_USER", "variable"),
        ("BOXWRIGHT_REGISTRY_PASSWORD", "x"),
    ];
    for (file, user) in places {
        home.write(file, &entry("a.b", user));
    }
    let mut order = Vec::new();
    for gone in ["BOXWRIGHT", "DOCKER_AUTH_CONFIG", "", "", "", ""] {
        let credentials = StoredCredentials::open(&home.host(&more)).unwrap();
        let winner = found(&credentials, "a.b", "x").await.unwrap();
        more.retain(|(name, _)| gone.is_empty() || !name.starts_with(gone));
        if let Some((file, _)) = places.iter().find(|(_, user)| *user == winner) {
            std::fs::remove_file(home.path(file)).unwrap();
        }
        order.push(winner);
    }
    assert_eq!(order, ["variable", "inline", "named", "docker", "runtime", "config"]);
}

#[tokio::test]
async fn every_form_of_an_entry_is_read() {
    let home = Home::new();
    home.write(
        CONFIG,
        r#"{"auths":{
            "https://index.docker.io/v1/":{"auth":"aHViOnBhc3M6d29yZA=="},
            "unpadded.io":{"auth":"aHViOnBhc3M6d29yZA"},
            "identity.io":{"auth":"dTp4","identitytoken":"t"},
            "token.io":{"auth":"PHRva2VuPjp0"},
            "registry.io":{"registrytoken":"t"},
            "http://address.io/v1/":{"auth":"YTpi"},
            "empty.io":{},"null.io":null}}"#,
    );
    let credentials = StoredCredentials::open(&home.host(&[])).unwrap();
    let identity = || Credential::IdentityToken(Secret::from("t"));
    for (host, expected) in [
        ("docker.io", Some(password("hub", "pass:word"))),
        ("unpadded.io", Some(password("hub", "pass:word"))),
        ("identity.io", Some(identity())),
        ("token.io", Some(identity())),
        ("registry.io", Some(Credential::BearerToken(Secret::from("t")))),
        ("address.io", Some(password("a", "b"))),
        ("empty.io", None),
        ("null.io", None),
        ("other.io", None),
    ] {
        assert_eq!(credentials.for_registry(host).await.unwrap(), expected, "{host}");
    }
}

#[tokio::test]
async fn the_longest_key_wins_threat_33() {
    let home = Home::new();
    home.write(
        CONFIG,
        r#"{"auths":{"a.b":{"auth":"aG9zdDp4"},"a.b/acme":{"auth":"YWNtZTp4"},"a.b/acme/api":{"auth":"YXBpOng="}},
            "credHelpers":{"c.d/acme":"acme"}}"#,
    );
    home.helper("acme", r#"read server; echo "{\"Username\":\"$server\",\"Secret\":\"x\"}""#);
    for (host, repository, user) in [
        ("a.b", "acme/api", Some("api")),
        ("a.b", "acme/api/v2", Some("api")),
        ("a.b", "acme/apis", Some("acme")),
        ("a.b", "acmes", Some("host")),
        ("a.b.c", "acme", None),
        ("c.d", "acme/api", Some("c.d/acme")),
        ("c.d", "other", None),
    ] {
        assert_eq!(home.found(host, repository).await.as_deref(), user, "{host}/{repository}");
    }
}

#[tokio::test]
async fn variables_are_for_one_registry_only_threat_25() {
    let home = Home::new();
    let user = ("BOXWRIGHT_REGISTRY_USER", "bob");
    let secret = ("BOXWRIGHT_REGISTRY_PASSWORD", "x");
    let open = |more: &[(&str, &str)]| StoredCredentials::open(&home.host(more));
    let image = "a.b/api:1".parse().unwrap();

    let unnamed = open(&[user, secret]).unwrap();
    assert_eq!(found(&unnamed, "a.b", "api").await, None);
    let of_image = unnamed.for_image(&image);
    assert_eq!(found(&of_image, "a.b", "api").await.as_deref(), Some("bob"));
    assert_eq!(found(&of_image, "evil.io", "api").await, None);

    let named = open(&[user, secret, ("BOXWRIGHT_REGISTRY", "c.d")]).unwrap().for_image(&image);
    assert_eq!(found(&named, "a.b", "api").await, None);
    assert_eq!(found(&named, "c.d", "api").await.as_deref(), Some("bob"));

    for half in [user, secret] {
        let error = open(&[half]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with(&format!("`{}` is set and", half.0)), "{error}");
    }
}

#[tokio::test]
async fn a_broken_file_is_named_with_the_place_and_without_its_text_threat_34() {
    for (text, says) in [
        ("{\"auths\":\n // canary\n{}}", "is not JSON at line 2 column 2"),
        (
            r#"{"auths":{"a.b":{"auth":7,"password":"canary"}}}"#,
            "another type than expected at line 1",
        ),
        (r#"{"auths":"canary"}"#, "another type than expected at line 1"),
        ("\u{feff}{", "is not JSON at line 1"),
    ] {
        let home = Home::new();
        home.write(CONFIG, text);
        let error = StoredCredentials::open(&home.host(&[])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let told = told(&error);
        assert!(told.contains(says) && told.contains(".docker/config.json"), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
    let home = Home::new();
    home.write(CONFIG, r#"{"auths":{"a.b":{"auth":"no base64, canary"}}}"#);
    let credentials = StoredCredentials::open(&home.host(&[])).unwrap();
    let error = credentials.for_registry("a.b").await.unwrap_err();
    assert!(told(&error).contains("cannot read the entry `a.b`"), "{}", told(&error));
    assert!(!told(&error).contains("canary"));
}

#[tokio::test]
async fn odd_files_are_read_or_refused_but_never_waited_for_threat_34() {
    let home = Home::new();
    home.write(CONFIG, &format!("\u{feff}{}", entry("a.b", "bom")));
    assert_eq!(home.found("a.b", "x").await.as_deref(), Some("bom"));
    home.write(CONFIG, " \n");
    assert_eq!(home.found("a.b", "x").await, None);
    home.write(CONFIG, &" ".repeat((4 << 20) + 1));
    let error = StoredCredentials::open(&home.host(&[])).unwrap_err();
    assert!(told(&error).contains("more than 4 MiB"), "{}", told(&error));
    std::fs::remove_file(home.path(CONFIG)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        home.path(CONFIG),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let error = StoredCredentials::open(&home.host(&[])).unwrap_err();
    assert!(told(&error).contains("not a regular file"), "{}", told(&error));
}

#[tokio::test]
async fn a_file_that_others_can_read_is_warned_about_threat_34() {
    let home = Home::new();
    home.write(CONFIG, &entry("a.b", "alice"));
    std::fs::set_permissions(home.path(CONFIG), PermissionsExt::from_mode(0o644)).unwrap();
    let warnings = StoredCredentials::open(&home.host(&[])).unwrap().take_warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("chmod 600"), "{warnings:?}");
    home.write(CONFIG, r#"{"auths":{"a.b":{}},"credsStore":"h"}"#);
    std::fs::set_permissions(home.path(CONFIG), PermissionsExt::from_mode(0o644)).unwrap();
    assert!(StoredCredentials::open(&home.host(&[])).unwrap().take_warnings().is_empty());
}

#[tokio::test]
async fn nothing_of_a_credential_is_ever_printed_threat_36() {
    let home = Home::new();
    home.write(CONFIG, &entry("a.b", "alice"));
    let more = [
        ("BOXWRIGHT_REGISTRY_USER", "bob"),
        ("BOXWRIGHT_REGISTRY_PASSWORD", "canary"),
        ("DOCKER_AUTH_CONFIG", r#"{"auths":{"c.d":{"auth":"Y2FuYXJ5OmNhbmFyeQ=="}}}"#),
    ];
    let credentials = StoredCredentials::open(&home.host(&more)).unwrap();
    let printed = format!("{credentials:#?}");
    assert!(!printed.contains("canary") && !printed.contains("Y2FuYXJ5"), "{printed}");
}
