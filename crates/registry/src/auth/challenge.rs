//! `WWW-Authenticate`: what a registry asks for.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A user's name and password with every request.
    Basic,
    /// A token, which is to be had at `realm`.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

impl Challenge {
    /// Returns the strongest challenge of an answer that is understood.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let all = headers.get_all(WWW_AUTHENTICATE).iter();
        let all: Vec<Self> = all.filter_map(|value| value.to_str().ok()).flat_map(parse).collect();
        let bearer = all.iter().find(|challenge| matches!(challenge, Self::Bearer { .. }));
        bearer.or_else(|| all.first()).cloned()
    }
}

// SPEC: RFC 9110, 11.6.1: challenges are separated by commas, and so are their parameters; a word
// that no `=` follows begins the next challenge.
fn parse(text: &str) -> Vec<Challenge> {
    let mut challenges: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let spaced = after.trim_start_matches([' ', '\t']);
        match spaced.strip_prefix('=') {
            Some(value) if !word.is_empty() => {
                let (value, after) = parameter(value.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = challenges.last_mut() {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            // A `=` with nothing before it: no header of any registry; the rest means nothing.
            Some(_) => break,
            None => {
                challenges.push((word.to_ascii_lowercase(), Vec::new()));
                rest = spaced;
            }
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    challenges
        .into_iter()
        .filter_map(|(scheme, parameters)| understood(&scheme, &parameters))
        .collect()
}

fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

fn understood(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let of = |name: &str| {
        let found = parameters.iter().find(|(parameter, _)| parameter == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: of("realm")?,
            service: of("service"),
            scope: of("scope"),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn of(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        Challenge::of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let [service, scope] = [service, scope].map(|text| text.map(str::to_owned));
        Some(Challenge::Bearer { realm: realm.to_owned(), service, scope })
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        assert_eq!(
            of(&[
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#
            ]),
            bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                Some("repository:a/b:pull,push")
            )
        );
        assert_eq!(of(&[r#"Basic realm="Registry Realm""#]), Some(Challenge::Basic));
        assert_eq!(of(&["basic"]), Some(Challenge::Basic));
        assert_eq!(of(&["BEARER REALM=https://a.b/t"]), bearer("https://a.b/t", None, None));
        assert_eq!(of(&[r#"Bearer realm = "x\"y" , service=z"#]), bearer("x\"y", Some("z"), None));
    }

    #[test]
    fn a_token_is_preferred_to_a_password_in_every_request() {
        assert_eq!(of(&[r#"Basic realm="r""#, r#"Bearer realm="t""#]), bearer("t", None, None));
        assert_eq!(of(&[r#"Basic realm="r", Bearer realm="t""#]), bearer("t", None, None));
        assert_eq!(of(&[r#"Negotiate abc==, Basic realm="r""#]), Some(Challenge::Basic));
    }

    #[test]
    fn what_is_no_challenge_is_none() {
        for text in ["", ",", "=", "Bearer", r#"Bearer realm="""#, "Negotiate", "\"", "= = ="] {
            assert_eq!(of(&[text]), None, "{text}");
        }
    }
}
