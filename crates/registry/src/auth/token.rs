//! Tokens: asked of the server that a registry names, and kept until shortly before they end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boxwright_core::{Credential, ErrorKind, Secret};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use crate::failure::{Failure, Outcome};
use crate::http::{
    Answerer, Body, Request, Transport, authority, is_loopback, is_same_origin, read_bytes, refusal,
};

/// More than any token has.
const LIMIT: usize = 1 << 20;
/// What a token server that does not say means.
// SPEC: distribution, "Token Response Fields": `expires_in` … "If omitted, this defaults to 60 seconds."
const DEFAULT_LIFETIME: u64 = 60;

/// A token, as a header.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) header: HeaderValue,
    ends: Instant,
}

impl Token {
    /// Returns whether it still lasts for long enough to be worth sending.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        now < self.ends
    }
}

/// Where a token is to be had, and what for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenRequest<'a> {
    /// The registry, as the user calls it.
    pub(crate) registry: &'a str,
    /// The registry's own address.
    pub(crate) base: &'a Url,
    pub(crate) realm: &'a str,
    pub(crate) service: Option<&'a str>,
    pub(crate) scopes: &'a BTreeSet<String>,
    pub(crate) credential: Option<&'a Credential>,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Asks for a token.
pub(crate) async fn fetch(transport: &Transport, wanted: TokenRequest<'_>) -> Outcome<Token> {
    let realm = realm(transport, &wanted)?;
    let (request, authorization) = match wanted.credential {
        Some(Credential::BearerToken(token)) => {
            // It is the token already, and says nothing of its end.
            let ends = Instant::now() + Duration::from_secs(3600);
            return Ok(Token { header: bearer(wanted.registry, token)?, ends });
        }
        Some(Credential::IdentityToken(token)) => (refresh(&realm, &wanted, token)?, None),
        Some(Credential::Password { user, password }) => {
            (query(realm.clone(), &wanted, Some(user)), Some(basic(user, password)?))
        }
        None => (query(realm.clone(), &wanted, None), None),
    };
    let asked = Instant::now();
    let answer = transport.send(&request, Body::Own, authorization.as_ref()).await?;
    let server = authority(&realm);
    if !answer.status().is_success() {
        let had_credentials = wanted.credential.is_some();
        let status = answer.status();
        let by = Answerer { registry: wanted.registry, had_credentials };
        let failure = refusal(answer, by, transport.silence()).await;
        // Token servers also say 400 or 403 to a wrong password.
        let is_refusal = matches!(status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN);
        return Err(if is_refusal && had_credentials {
            let registry = wanted.registry;
            Failure::new(
                ErrorKind::Unauthorized,
                format!("the token server `{server}` refused the credentials ({status})"),
            )
            .with_detail(failure.why)
            .with_remedy(format!("log in again with `boxwright login {registry}`"))
            .with_status(status)
        } else {
            failure.with_fact("token server", server)
        });
    }
    let bytes = read_bytes(answer, LIMIT, transport.silence()).await?;
    let unintelligible =
        || Failure::protocol(format!("the token server `{server}` answered without a token"));
    let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| unintelligible())?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let token = Secret::from(token.ok_or_else(unintelligible)?);
    // A little less than it lasts, for the time that the next request takes.
    let lifetime = answer.expires_in.filter(|seconds| *seconds > 0).unwrap_or(DEFAULT_LIFETIME);
    let ends = asked + Duration::from_secs(lifetime.min(86_400)).mul_f32(0.8);
    Ok(Token { header: bearer(wanted.registry, &token)?, ends })
}

/// Checks where a token would be asked for: over https, and over plain HTTP only where the registry
/// itself is as near.
fn realm(transport: &Transport, wanted: &TokenRequest<'_>) -> Outcome<Url> {
    let registry = wanted.registry;
    let wrong = |cause: &str| {
        Failure::protocol(format!("`{registry}` names a token server that cannot be used"))
            .with_detail(format!("`{}` {cause}", wanted.realm))
    };
    let url = Url::parse(wanted.realm).map_err(|_| wrong("is not an address"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("has a user's name in it"));
    }
    let is_near = is_loopback(wanted.base) || !is_loopback(&url);
    // The host that plain HTTP is set for may have its token server on another port.
    let is_same_host = wanted.base.scheme() == "http" && wanted.base.host() == url.host();
    match url.scheme() {
        "https" if is_near => {}
        "http" if is_same_origin(&url, wanted.base) || is_same_host => {}
        "http" if is_near && transport.may_be_plain(&url) => {}
        "http" => return Err(wrong("is not https, and a password is not sent there")),
        _ => return Err(wrong("is not the address of a token server")),
    }
    Ok(url)
}

fn query(mut url: Url, wanted: &TokenRequest<'_>, user: Option<&str>) -> Request {
    {
        let mut pairs = url.query_pairs_mut();
        if let Some(service) = wanted.service {
            pairs.append_pair("service", service);
        }
        for scope in wanted.scopes {
            pairs.append_pair("scope", scope);
        }
        if let Some(user) = user {
            pairs.append_pair("account", user);
        }
    }
    Request::new(Method::GET, url)
}

// SPEC: distribution, "OAuth2 Token Authentication": a form with `grant_type=refresh_token`.
fn refresh(realm: &Url, wanted: &TokenRequest<'_>, token: &Secret) -> Outcome<Request> {
    let token = token.expose_str().ok_or_else(|| Failure::protocol("the token is not text"))?;
    let scopes: Vec<&str> = wanted.scopes.iter().map(String::as_str).collect();
    // Only for its writer of forms; nothing is sent to that address.
    let mut form = realm.clone();
    form.set_query(None);
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("client_id", "boxwright")
        .append_pair("service", wanted.service.unwrap_or_default())
        .append_pair("scope", &scopes.join(" "))
        .append_pair("refresh_token", token);
    let body = form.query().unwrap_or_default().to_owned();
    Request::new(Method::POST, realm.clone())
        .with_body(body)
        .with_header(CONTENT_TYPE, "application/x-www-form-urlencoded")?
        .with_header(ACCEPT, "application/json")
}

/// Returns the header for a name and a password.
pub(crate) fn basic(user: &str, password: &Secret) -> Outcome<HeaderValue> {
    let mut bytes = Vec::from(user.as_bytes());
    bytes.push(b':');
    bytes.extend_from_slice(password.expose());
    let text = STANDARD.encode(Secret::new(bytes).expose());
    header(&format!("Basic {text}")).ok_or_else(|| Failure::protocol("the password is not text"))
}

fn bearer(registry: &str, token: &Secret) -> Outcome<HeaderValue> {
    token.expose_str().and_then(|token| header(&format!("Bearer {token}"))).ok_or_else(|| {
        Failure::protocol(format!("the token for `{registry}` has a line break in it"))
    })
}

fn header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
