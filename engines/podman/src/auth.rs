//! Credentials as the service takes them: in headers, by base64url.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use boxwright_core::{Credential, Error, ErrorKind, ImageRef, Result, Session};
use boxwright_http::http::HeaderValue;
use serde::Serialize;
use zeroize::Zeroizing;

/// The header with the credential of one registry.
pub(crate) const ONE: &str = "X-Registry-Auth";

/// The header with those of several, by registry.
pub(crate) const MANY: &str = "X-Registry-Config";

#[derive(Serialize)]
struct Entry<'a> {
    username: &'a str,
    password: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    identitytoken: &'a str,
}

fn entry<'a>(registry: &str, credential: &'a Credential) -> Result<Entry<'a>> {
    let cannot = |cause: &str| {
        Error::new(ErrorKind::InvalidInput, format!("cannot use the credentials for `{registry}`"))
            .with_cause(cause)
    };
    let text = |secret: &'a boxwright_core::Secret| {
        secret.expose_str().ok_or_else(|| cannot("they are not UTF-8"))
    };
    match credential {
        Credential::Password { user, password } => {
            Ok(Entry { username: user, password: text(password)?, identitytoken: "" })
        }
        Credential::IdentityToken(token) => {
            Ok(Entry { username: "", password: "", identitytoken: text(token)? })
        }
        Credential::BearerToken(_) => {
            Err(cannot("the service takes a password or an identity token, and no bearer token")
                .with_remedy(format!("log in with a password: `boxwright login {registry}`")))
        }
    }
}

fn header(value: &impl Serialize) -> Result<HeaderValue> {
    let bug = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Bug, "cannot write a credential into a header")
            .with_cause(error.to_string())
    };
    let json = Zeroizing::new(serde_json::to_vec(value).map_err(|error| bug(&error))?);
    let text = Zeroizing::new(URL_SAFE.encode(&json));
    let mut header = HeaderValue::from_str(&text).map_err(|error| bug(&error))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Returns the header value for the registry of `image`, or `None` for anonymous access.
pub(crate) async fn for_image(image: &ImageRef, session: &Session) -> Result<Option<HeaderValue>> {
    let registry = image.registry();
    let found = session.credentials.for_repository(registry, image.repository()).await?;
    found.map(|credential| header(&entry(registry, &credential)?)).transpose()
}

/// Returns the header value for `registries`, or `None` if there is a credential for none of them.
pub(crate) async fn for_registries<'a>(
    registries: impl Iterator<Item = &'a str>,
    session: &Session,
) -> Result<Option<HeaderValue>> {
    let mut found = BTreeMap::new();
    for registry in registries {
        if let Some(credential) = session.credentials.for_registry(registry).await? {
            found.insert(registry, credential);
        }
    }
    let entries =
        found.iter().map(|(registry, credential)| Ok((*registry, entry(registry, credential)?)));
    let entries = entries.collect::<Result<BTreeMap<_, _>>>()?;
    if entries.is_empty() { Ok(None) } else { header(&entries).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::Secret;

    #[test]
    fn a_password_of_any_signs_survives_base64url() {
        let password = Secret::from("abc>>>def???~~~");
        let credential = Credential::Password { user: "alice".into(), password };
        let header = header(&entry("r.example", &credential).unwrap()).unwrap();
        let decoded = URL_SAFE.decode(header.as_bytes()).unwrap();
        assert_eq!(decoded, br#"{"username":"alice","password":"abc>>>def???~~~"}"#);
        assert!(!header.to_str().unwrap().contains(['+', '/']));
        assert!(header.is_sensitive());
    }

    #[test]
    fn a_bearer_token_is_refused_by_name_and_not_shown() {
        let error =
            entry("r.example", &Credential::BearerToken(Secret::from("hunter2"))).err().unwrap();
        assert_eq!(error.to_string(), "cannot use the credentials for `r.example`");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
