//! What a column's cases stand on: registries, a base image, credentials.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use boxwright_core::{Credential, Credentials, Host, ImageRef, RegistrySettings, Result, Secret};
use boxwright_testkit::Registries;

use crate::case::{CaseResult, Failure};

/// A kind of registry that cases push to and pull from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RegistryKind {
    /// Everyone may pull and push.
    Open,
    /// A user and a password are asked for.
    Auth,
    /// As `Auth`, over TLS with a certificate of its own authority.
    Tls,
    /// Clients are sent to a token server.
    Token,
}

impl RegistryKind {
    const ALL: [Self; 4] = [Self::Open, Self::Auth, Self::Tls, Self::Token];

    fn variable(self) -> &'static str {
        match self {
            Self::Open => "BOXWRIGHT_TEST_REGISTRY_OPEN",
            Self::Auth => "BOXWRIGHT_TEST_REGISTRY_AUTH",
            Self::Tls => "BOXWRIGHT_TEST_REGISTRY_TLS",
            Self::Token => "BOXWRIGHT_TEST_REGISTRY_TOKEN",
        }
    }
}

impl fmt::Display for RegistryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Auth => "auth",
            Self::Tls => "tls",
            Self::Token => "token",
        })
    }
}

/// Registries, a base image, and how to get at them.
#[derive(Debug)]
pub struct Environment {
    base: Option<ImageRef>,
    registries: BTreeMap<RegistryKind, String>,
    user: Option<(String, Secret)>,
    ca: Option<PathBuf>,
    folder: Option<PathBuf>,
    // Ends the registries in this process with the last one that uses them.
    _own: Option<Arc<Registries>>,
}

impl Environment {
    /// Returns what the variables `BOXWRIGHT_TEST_…` of `host` name. What is missing is told by the cases
    /// that need it.
    #[must_use]
    pub fn of_host(host: &Host) -> Self {
        let registries = RegistryKind::ALL
            .into_iter()
            .filter_map(|kind| Some((kind, host.variable(kind.variable())?.to_owned())));
        let user = host.variable("BOXWRIGHT_TEST_REGISTRY_USER");
        let password = host.variable("BOXWRIGHT_TEST_REGISTRY_PASSWORD");
        Self {
            base: host.variable("BOXWRIGHT_TEST_BASE").and_then(|name| name.parse().ok()),
            registries: registries.collect(),
            user: user.zip(password).map(|(user, word)| (user.to_owned(), Secret::from(word))),
            ca: host.path_variable("BOXWRIGHT_TEST_REGISTRY_CA"),
            folder: host.path_variable("BOXWRIGHT_TEST_ENVIRONMENT"),
            _own: None,
        }
    }

    /// Returns registries that run in this process.
    #[must_use]
    pub fn of_this_process(own: Arc<Registries>) -> Self {
        let registries = [
            (RegistryKind::Open, own.open.host()),
            (RegistryKind::Auth, own.auth.host()),
            (RegistryKind::Tls, own.tls.host()),
            (RegistryKind::Token, own.token.host()),
        ];
        let (user, password) = boxwright_testkit::USER;
        Self {
            base: Some(own.base.clone()),
            registries: registries.into(),
            user: Some((user.to_owned(), Secret::from(password))),
            ca: Some(own.ca.clone()),
            folder: None,
            _own: Some(own),
        }
    }

    /// Returns the base image: a shell, the usual small programs, `/etc/passwd`, `/tmp`.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`] when there is none.
    pub fn base(&self) -> CaseResult<&ImageRef> {
        self.base.as_ref().ok_or_else(|| missing("BOXWRIGHT_TEST_BASE"))
    }

    /// Returns the folder that the engines have all their data in, and their logs.
    #[must_use]
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    /// Returns the host and port of a registry.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`] when there is none of the kind.
    pub fn registry(&self, kind: RegistryKind) -> CaseResult<&str> {
        let host = self.registries.get(&kind).ok_or_else(|| missing(kind.variable()))?;
        if kind != RegistryKind::Open && self.user.is_none() {
            return Err(missing("BOXWRIGHT_TEST_REGISTRY_USER"));
        }
        if kind == RegistryKind::Tls && self.ca.is_none() {
            return Err(missing("BOXWRIGHT_TEST_REGISTRY_CA"));
        }
        Ok(host)
    }

    /// Returns the user's settings for these registries: the authority of the one with TLS.
    #[must_use]
    pub fn settings(&self) -> RegistrySettings {
        let mut settings = RegistrySettings::default();
        if let (Some(host), Some(ca)) = (self.registries.get(&RegistryKind::Tls), &self.ca) {
            settings.0.entry(host.clone()).or_default().ca = Some(ca.clone());
        }
        settings
    }

    /// Returns the right credentials, for exactly the registries that ask for some.
    #[must_use]
    pub fn credentials(&self) -> Arc<dyn Credentials> {
        self.user.as_ref().map_or_else(
            || Arc::new(KnownHosts::default()) as Arc<dyn Credentials>,
            |(user, password)| self.credentials_as(user, password),
        )
    }

    /// Returns credentials of the right user with a password that no registry takes.
    #[must_use]
    pub fn wrong_credentials(&self) -> Arc<dyn Credentials> {
        let user = self.user.as_ref().map_or("nobody", |(user, _)| user.as_str());
        self.credentials_as(user, &Secret::from("not-the-password>>>???~~~"))
    }

    fn credentials_as(&self, user: &str, password: &Secret) -> Arc<dyn Credentials> {
        let hosts = self.registries.iter().filter(|(kind, _)| **kind != RegistryKind::Open);
        let credential = Credential::Password { user: user.to_owned(), password: password.clone() };
        let known = hosts.map(|(_, host)| (host.clone(), credential.clone()));
        Arc::new(KnownHosts(known.collect()))
    }
}

fn missing(variable: &str) -> Failure {
    Failure::harness(format!(
        "`{variable}` is not set; run under `cargo xtask environment up`, which sets it"
    ))
}

/// Credentials by host, in memory.
#[derive(Debug, Default)]
struct KnownHosts(BTreeMap<String, Credential>);

#[async_trait]
impl Credentials for KnownHosts {
    async fn for_registry(&self, host: &str) -> Result<Option<Credential>> {
        Ok(self.0.get(host).cloned())
    }
}
