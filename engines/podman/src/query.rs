//! Paths and queries of requests, encoded.

use std::fmt::Write as _;

use serde::Serialize;

/// Every path begins with it: the oldest version of the API that Podman 4 and 5 both take.
const PREFIX: &str = "/v4.0.0/libpod/";

/// The same for what only the Docker-compatible half of the API tells.
const COMPATIBLE_PREFIX: &str = "/v1.40/";

/// The address of a request.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    text: String,
    has_query: bool,
}

impl Address {
    /// Returns the address of `path`, given as its parts: those at odd places are values.
    pub(crate) fn libpod(parts: &[&str]) -> Self {
        Self::new(PREFIX, parts)
    }

    /// The same in the Docker-compatible half of the API.
    pub(crate) fn compatible(parts: &[&str]) -> Self {
        Self::new(COMPATIBLE_PREFIX, parts)
    }

    fn new(prefix: &str, parts: &[&str]) -> Self {
        let mut text = prefix.to_owned();
        for (index, part) in parts.iter().enumerate() {
            match index % 2 {
                0 => text.push_str(part),
                // The routes take names with slashes as they are.
                _ => encode(part, "/:", &mut text),
            }
        }
        Self { text, has_query: false }
    }

    /// Adds a parameter.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        encode(name, "", &mut self.text);
        self.text.push('=');
        encode(value, "", &mut self.text);
        self
    }

    /// Adds a parameter whose value is JSON.
    pub(crate) fn with_json(self, name: &str, value: &impl Serialize) -> Self {
        // Values here are maps and lists of text, which JSON always holds.
        let value = serde_json::to_string(value).unwrap_or_default();
        self.with(name, &value)
    }

    /// Adds a parameter if there is a value.
    pub(crate) fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// Percent-encodes all but letters, digits, `-_.~` and what `kept` lists.
fn encode(text: &str, kept: &str, encoded: &mut String) {
    for byte in text.bytes() {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-_.~".contains(c) || kept.contains(c) {
            encoded.push(c);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_place() {
        let address = Address::libpod(&["images/", "localhost:5000/a?b#c:1", "/tag"]);
        let address = address.with("repo", "a&b=c+d e").with_json("x", &["é"]);
        assert_eq!(
            address.as_str(),
            "/v4.0.0/libpod/images/localhost:5000/a%3Fb%23c:1/tag?repo=a%26b%3Dc%2Bd%20e&x=%5B%22%C3%A9%22%5D"
        );
    }
}
