//! Who may use a registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};

use super::answer::{self, Reply};

/// Who may use a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone.
    Open,
    /// Who shows this user's name and password with every request.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// Who shows a token that this registry's own `/token` gives for that name and password.
    Token {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

/// The one token there is. A fake needs no second.
const TOKEN: &str = "token-of-the-fake-registry";

impl Access {
    /// Returns the refusal, unless the headers show what is asked for.
    pub(super) fn refuse(&self, headers: &HeaderMap, repository: Option<&str>) -> Option<Reply> {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (is_right, challenge) = match self {
            Self::Open => return None,
            Self::Password { user, password } => {
                let is_right = shown == Some(basic(user, password).as_str());
                (is_right, "Basic realm=\"fake\"".to_owned())
            }
            Self::Token { .. } => {
                let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
                // Behind a proxy a registry has a name of its own, and is spoken with over TLS.
                let scheme = if host?.contains(':') { "http" } else { "https" };
                let mut challenge =
                    format!("Bearer realm=\"{scheme}://{}/token\",service=\"fake\"", host?);
                if let Some(repository) = repository {
                    challenge += &format!(",scope=\"repository:{repository}:pull,push\"");
                }
                (shown == Some(&format!("Bearer {TOKEN}")), challenge)
            }
        };
        (!is_right).then(|| {
            let words = "authentication required";
            let reply = answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", words);
            answer::with_header(reply, header::WWW_AUTHENTICATE, &challenge)
        })
    }

    /// Answers a request for a token. `body` is that of the form that OAuth2 sends.
    pub(super) fn token(&self, headers: &HeaderMap, body: &str) -> Reply {
        let Self::Token { user, password } = self else {
            return answer::error(StatusCode::NOT_FOUND, "UNKNOWN", "no tokens here");
        };
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let field = |name: &str| {
            body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let by_form = field("username") == Some(user) && field("password") == Some(password)
            || field("refresh_token") == Some(password);
        let right = basic(user, password);
        if shown.is_none_or(|shown| shown != right) && !by_form {
            return answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "wrong password");
        }
        let body = serde_json::json!({ "token": TOKEN, "access_token": TOKEN, "expires_in": 300 });
        answer::with_type(answer::with_body(StatusCode::OK, body.to_string()), "application/json")
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
