//! Credential helpers: programs that keep credentials, as Docker defined them.

use std::time::Duration;

use boxwright_core::{Credential, Error, ErrorKind, Host, ProgramOutput, Result, Secret};
use serde::{Deserialize, Serialize};

/// A helper that is not done by then waits for somebody who is not there.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The user's name that marks an identity token.
pub(super) const TOKEN_USER: &str = "<token>";

/// A credential helper, by the name that it has in `credsStore` or `credHelpers`.
#[derive(Debug)]
pub(super) struct Helper<'a> {
    host: &'a Host,
    program: String,
    limit: Duration,
}

/// What a helper answers to `get`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default, deserialize_with = "super::file::secret")]
    secret: Option<Secret>,
}

/// What a helper is told with `store`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Order<'a> {
    #[serde(rename = "ServerURL")]
    server: &'a str,
    username: &'a str,
    secret: &'a str,
}

impl<'a> Helper<'a> {
    /// Returns the helper `name`. Does not start it yet.
    pub(super) fn new(host: &'a Host, name: &str) -> Result<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("`{name}` is not the name of a credential helper"),
            )
            .with_remedy("write the part after `docker-credential-`, such as `pass`"));
        }
        Ok(Self { host, program: format!("docker-credential-{name}"), limit: LIMIT })
    }

    /// Returns the helper with another time limit.
    pub(super) fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Returns the name of its program.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// Returns whether its program is in `PATH`.
    pub(super) fn is_installed(&self) -> bool {
        self.host.find_program(&self.program).is_some()
    }

    /// Asks for the credential of `server`. A helper that has none is not an error.
    pub(super) async fn get(&self, server: &str) -> Result<Option<Credential>> {
        let output = self.run("get", server.as_bytes()).await?;
        if !output.succeeded() {
            if says_not_found(&output) {
                return Ok(None);
            }
            return Err(self.refused("get", &output));
        }
        let answer: Answer = serde_json::from_slice(&output.stdout)
            .map_err(|_| self.broken("it did not answer in JSON as credential helpers do"))?;
        match (answer.username.as_str(), answer.secret) {
            (_, None) => Ok(None),
            (TOKEN_USER, Some(token)) => Ok(Some(Credential::IdentityToken(token))),
            ("", Some(_)) => Err(self.broken("it gave a password without a user's name")),
            (user, Some(password)) => {
                Ok(Some(Credential::Password { user: user.to_owned(), password }))
            }
        }
    }

    /// Has the credential of `server` stored.
    pub(super) async fn store(&self, server: &str, user: &str, secret: &Secret) -> Result<()> {
        let text = secret.expose_str().ok_or_else(not_text)?;
        let order = serde_json::to_vec(&Order { server, username: user, secret: text })
            .map_err(|error| self.broken(&error.to_string()))?;
        let output = self.run("store", Secret::new(order).expose()).await?;
        if output.succeeded() { Ok(()) } else { Err(self.refused("store", &output)) }
    }

    /// Has the credential of `server` forgotten.
    pub(super) async fn erase(&self, server: &str) -> Result<()> {
        let output = self.run("erase", server.as_bytes()).await?;
        if output.succeeded() || says_not_found(&output) {
            return Ok(());
        }
        Err(self.refused("erase", &output))
    }

    async fn run(&self, command: &str, input: &[u8]) -> Result<ProgramOutput> {
        let program = self.host.program(&self.program).map_err(|error| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("cannot ask the credential helper `{}`", self.program),
            )
            .with_source(error)
            .with_remedy(format!(
                "install `{}`, or take its name out of `credsStore` or `credHelpers` in the credentials file",
                self.program
            ))
        })?;
        program.arguments(&[command]).output(input, self.limit).await.map_err(|error| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("cannot ask the credential helper `{}`", self.program),
            )
            .with_source(error)
            .with_remedy(format!(
                "run `echo ghcr.io | {} get` in a terminal to see what it waits for",
                self.program
            ))
        })
    }

    // What a helper writes may hold a secret, so none of it is ever repeated.
    fn refused(&self, command: &str, output: &ProgramOutput) -> Error {
        let status =
            output.status.map_or("a signal".to_owned(), |status| format!("status {status}"));
        self.broken(&format!("`{} {command}` ended with {status}", self.program)).with_remedy(
            format!("run `echo ghcr.io | {} get` in a terminal to see why", self.program),
        )
    }

    fn broken(&self, cause: &str) -> Error {
        Error::new(
            ErrorKind::InvalidInput,
            format!("the credential helper `{}` does not work", self.program),
        )
        .with_cause(cause)
        .with_remedy(format!(
            "install `{0}` again, or take its name out of `credsStore` or `credHelpers` in the credentials file",
            self.program
        ))
    }
}

// SPEC: docker-credential-helpers, `credentials/error.go`: "credentials not found in native keychain".
fn says_not_found(output: &ProgramOutput) -> bool {
    let text = String::from_utf8_lossy(&output.stdout).to_ascii_lowercase();
    text.contains("credentials not found") || text.contains("could not be found in the keychain")
}

pub(super) fn not_text() -> Error {
    Error::new(ErrorKind::InvalidInput, "the password is not UTF-8 text")
}
