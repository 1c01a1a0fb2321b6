//! Credentials in the headers that the daemon reads.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bollard::BollardRequest;
use bollard::auth::DockerCredentials;
use boxwright_core::{Credential, DOCKER_HUB, Error, ErrorKind, Result};
use boxwright_http::http::HeaderValue;

/// The header with the credential for one registry.
pub(crate) const REGISTRY_AUTH: &str = "x-registry-auth";

/// The header with the credentials for several registries.
pub(crate) const REGISTRY_CONFIG: &str = "x-registry-config";

/// The name that the daemon knows Docker Hub by.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Returns what the daemon calls the registry `host` where it looks up credentials.
pub(crate) fn key(host: &str) -> &str {
    if host == DOCKER_HUB { HUB_KEY } else { host }
}

/// Returns `credential` for the registry `host` as the daemon takes it.
pub(crate) fn credentials(host: &str, credential: &Credential) -> Result<DockerCredentials> {
    let text = |secret: &boxwright_core::Secret| {
        secret.expose_str().map(str::to_owned).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("the password for `{host}` is not UTF-8"))
        })
    };
    let mut result =
        DockerCredentials { serveraddress: Some(key(host).to_owned()), ..Default::default() };
    match credential {
        Credential::Password { user, password } => {
            result.username = Some(user.clone());
            result.password = Some(text(password)?);
        }
        Credential::IdentityToken(token) => result.identitytoken = Some(text(token)?),
        Credential::BearerToken(token) => result.registrytoken = Some(text(token)?),
    }
    Ok(result)
}

/// Returns `value` as JSON in base64url, marked so that it is never logged.
pub(crate) fn header(value: &impl serde::Serialize) -> Result<HeaderValue> {
    let bug = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Bug, "cannot write credentials").with_cause(error.to_string())
    };
    let json = serde_json::to_vec(value).map_err(|error| bug(&error))?;
    let mut header = HeaderValue::from_str(&URL_SAFE.encode(json)).map_err(|error| bug(&error))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Turns the credentials in the headers of `request` into base64url.
// QUIRK(bollard 0.21): it writes them in the standard alphabet, which the daemon does not read: a
// password with `>` or `?` in it made a pull anonymous (https://github.com/moby/moby/issues/33434).
pub(crate) fn in_base64url(mut request: BollardRequest) -> BollardRequest {
    for name in [REGISTRY_AUTH, REGISTRY_CONFIG] {
        let Some(value) = request.headers_mut().get_mut(name) else { continue };
        let Ok(text) = value.to_str() else { continue };
        if let Ok(mut fixed) = HeaderValue::from_str(&text.replace('+', "-").replace('/', "_")) {
            fixed.set_sensitive(true);
            *value = fixed;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use boxwright_core::Secret;

    fn decoded(header: &HeaderValue) -> serde_json::Value {
        let bytes = URL_SAFE.decode(header.as_bytes()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_password_with_odd_characters_arrives() {
        let password = "abc>>>def???~~~";
        let credential =
            Credential::Password { user: "alice".into(), password: Secret::from(password) };
        let credentials = credentials("ghcr.io", &credential).unwrap();
        let ours = header(&credentials).unwrap();
        assert!(ours.is_sensitive());
        assert_eq!(decoded(&ours)["password"], password);

        let standard = STANDARD.encode(serde_json::to_vec(&credentials).unwrap());
        assert!(
            standard.contains(['+', '/']),
            "the test needs a password that tells the alphabets apart"
        );
        let body = bollard::body_full(Default::default());
        let mut request = BollardRequest::new(body);
        request.headers_mut().insert(REGISTRY_AUTH, HeaderValue::from_str(&standard).unwrap());
        let request = in_base64url(request);
        assert_eq!(decoded(&request.headers()[REGISTRY_AUTH])["password"], password);
    }

    #[test]
    fn docker_hub_goes_by_its_old_name() {
        let credential = Credential::IdentityToken(Secret::from("t"));
        let credentials = credentials("docker.io", &credential).unwrap();
        assert_eq!(credentials.serveraddress.as_deref(), Some("https://index.docker.io/v1/"));
        assert_eq!(credentials.identitytoken.as_deref(), Some("t"));
        assert_eq!(credentials.password, None);
    }
}
