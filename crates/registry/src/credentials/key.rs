//! The names that registries have in files with credentials.

use boxwright_core::{DOCKER_HUB, Error, ErrorKind, ImageRef, Result};

/// The name that Docker stores its Hub by.
const HUB_ADDRESS: &str = "https://index.docker.io/v1/";

/// Brings a key of a file into the form `HOST` or `HOST/PATH`.
// SPEC: containers-auth.json(5): a key may be `host`, `host/namespace`, or, as Docker wrote it, an
// address of which only the host counts.
pub(super) fn normalized(key: &str) -> String {
    let address = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (host, path) =
        address.unwrap_or(key).split_once('/').unwrap_or((address.unwrap_or(key), ""));
    let host = host.strip_suffix(":443").unwrap_or(host).to_ascii_lowercase();
    let host = match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB.to_owned(),
        _ => host,
    };
    match path.trim_end_matches('/') {
        "" | "v1" | "v2" => host,
        _ if address.is_some() => host,
        path => format!("{host}/{path}"),
    }
}

/// Returns the keys that a repository may be found by, the longest first and the registry last.
pub(super) fn candidates(registry: &str, repository: Option<&str>) -> Vec<String> {
    let registry = normalized(registry);
    let mut keys = Vec::new();
    let mut path = repository.unwrap_or_default().trim_matches('/');
    while !path.is_empty() {
        keys.push(format!("{registry}/{path}"));
        path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
    keys.push(registry);
    keys
}

/// Returns the name that a registry is stored by, in files and by credential helpers.
pub(super) fn stored_as(key: &str) -> &str {
    if key == DOCKER_HUB { HUB_ADDRESS } else { key }
}

/// Reads what a user calls a registry: a host, perhaps with a port, a scheme, or a namespace.
pub(super) fn of_user(registry: &str) -> Result<String> {
    let key = normalized(if registry.is_empty() { DOCKER_HUB } else { registry });
    let parsed = format!("{key}/x").parse::<ImageRef>();
    match parsed {
        Ok(image) if key.starts_with(image.registry()) => Ok(key),
        // A lone word such as `ghcr` would have become a path on Docker Hub.
        Ok(_) | Err(_) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("`{registry}` is not the name of a registry"),
        )
        .with_remedy("write its host, such as `ghcr.io` or `localhost:5000`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_docker_and_podman_are_one_name() {
        for (key, name) in [
            ("ghcr.io", "ghcr.io"),
            ("GHCR.io/", "ghcr.io"),
            ("https://ghcr.io/v2/", "ghcr.io"),
            ("http://localhost:5000/v1/", "localhost:5000"),
            ("https://quay.io:443/some/path", "quay.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("index.docker.io", "docker.io"),
            ("docker.io", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("ghcr.io/acme/", "ghcr.io/acme"),
            ("docker.io/acme", "docker.io/acme"),
        ] {
            assert_eq!(normalized(key), name, "{key}");
        }
    }

    #[test]
    fn the_longest_key_comes_first() {
        assert_eq!(candidates("a.b", Some("x/y")), ["a.b/x/y", "a.b/x", "a.b"]);
        assert_eq!(candidates("index.docker.io", None), ["docker.io"]);
    }

    #[test]
    fn a_registry_is_named_by_its_host() {
        assert_eq!(of_user("").unwrap(), "docker.io");
        assert_eq!(of_user("https://ghcr.io/").unwrap(), "ghcr.io");
        assert_eq!(of_user("localhost:5000").unwrap(), "localhost:5000");
        assert_eq!(of_user("ghcr.io/acme").unwrap(), "ghcr.io/acme");
        assert_eq!(of_user("[::1]:5000").unwrap(), "[::1]:5000");
        for bad in ["ghcr", "-u", "a b", "unix:///run/x", "host:port"] {
            assert!(of_user(bad).is_err(), "{bad}");
        }
    }
}
