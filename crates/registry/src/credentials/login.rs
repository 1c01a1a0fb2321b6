//! Stores what a user logged in with.

use boxwright_core::{Credential, Error, ErrorKind, Host, Result};

use super::edit::Edit;
use super::file::CredentialsFile;
use super::helper::{Helper, TOKEN_USER};
use super::{key, places};

/// What [`store`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginOutput {
    /// The file, or the program of the credential helper.
    pub stored_in: String,
    /// What the user should know, one line each, such as that the password is stored unencrypted.
    pub warnings: Vec<String>,
}

/// Returns the registry that a user means, such as `ghcr.io` for `https://ghcr.io/`, and Docker Hub for
/// an empty text.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when it cannot be the host of a registry.
pub fn registry_of_user(registry: &str) -> Result<String> {
    key::of_user(registry)
}

/// Stores `credential` for `registry`: with the credential helper that the user's file names, else in
/// that file, which is replaced atomically and has mode 0600.
///
/// The file is the one that `REGISTRY_AUTH_FILE` names, else Docker's `config.json`, which Docker,
/// Podman, and most tools read.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when the file or the helper is broken, [`ErrorKind::Unavailable`] when
/// the file cannot be written.
pub async fn store(host: &Host, registry: &str, credential: &Credential) -> Result<LoginOutput> {
    let key = key::of_user(registry)?;
    let path = places::own(host).into_iter().next().ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, "there is no place to store credentials in")
            .with_cause("`HOME` is not set")
            .with_remedy("set `DOCKER_CONFIG` to a folder for `config.json`")
    })?;
    let content = CredentialsFile::read(&path)?.map(|file| file.content).unwrap_or_default();
    let candidates = key::candidates(&key, None);
    let mut warnings = shadows(host, &key, &path.display().to_string());
    let mut edit = Edit::open(&path)?;
    let named = content.helper_for(&candidates).map(|(name, _)| name).or_else(|| content.store());
    let stored_in = if let Some(name) = named {
        let helper = Helper::new(host, name)?;
        let (user, secret) = match credential {
            Credential::Password { user, password } => (user.as_str(), password),
            Credential::IdentityToken(token) => (TOKEN_USER, token),
            Credential::BearerToken(_) => {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    "a credential helper cannot keep a bearer token",
                ));
            }
        };
        helper.store(key::stored_as(&key), user, secret).await?;
        edit.insert_empty(&key)?;
        helper.program().to_owned()
    } else {
        edit.insert(&key, credential)?;
        warnings.push(format!(
            "the password is stored unencrypted in `{}`; to have it encrypted, install a credential helper, such as `docker-credential-pass`, and name it there as `\"credsStore\": \"pass\"`",
            path.display()
        ));
        path.display().to_string()
    };
    edit.save()?;
    Ok(LoginOutput { stored_in, warnings })
}

/// Says which variables win over the file that is written.
fn shadows(host: &Host, key: &str, path: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let inline = host
        .variable("DOCKER_AUTH_CONFIG")
        .and_then(|text| super::Content::parse(text.as_bytes(), "`DOCKER_AUTH_CONFIG`").ok());
    if inline.is_some_and(|content| content.mentions(&[key.to_owned()])) {
        warnings.push(format!(
            "`DOCKER_AUTH_CONFIG` has an entry for `{key}` and is used instead of `{path}` while it is set"
        ));
    }
    warnings
}
