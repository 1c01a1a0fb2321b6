//! What the server's words mean: failures in, errors out. Pure.

use boxwright_core::{Error, ErrorKind};
use boxwright_http::Endpoint;
use boxwright_http::http::StatusCode;

/// Says what went wrong when the server answered `status` and `text`, or an operation ended so.
pub(crate) fn of_answer(what: &str, status: StatusCode, text: &str) -> Error {
    let text = text.trim();
    let kind = kind_of(text).unwrap_or(match status.as_u16() {
        400 => ErrorKind::InvalidInput,
        401 | 403 => ErrorKind::Unauthorized,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        503 => ErrorKind::Unavailable,
        _ => ErrorKind::Protocol,
    });
    let cause = match text {
        "" => format!("the server answered {status}"),
        text => text.to_owned(),
    };
    let error = Error::new(kind, what).with_cause(cause);
    match remedy(kind, text) {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}

/// Finds the class of a failure by the server's words: an operation has no status of its own.
fn kind_of(text: &str) -> Option<ErrorKind> {
    let text = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["no space left on device", "disk quota exceeded", "not enough space"]) {
        return Some(ErrorKind::Exhausted);
    }
    // A project's limit, of instances or memory for example.
    if has(&["reached maximum number of", "exceeds the maximum", "limits.", "limit \"limits"]) {
        return Some(ErrorKind::Exhausted);
    }
    if has(&["project not found", "is forbidden", "restricted.", "not allowed in project"]) {
        return Some(ErrorKind::InvalidInput);
    }
    if has(&[
        "already exists",
        "already in use",
        "already running",
        "is busy",
        "not running",
        "being used by",
        // Two that make the same thing at once: the server's database refuses the second.
        "unique constraint failed",
    ]) {
        return Some(ErrorKind::Conflict);
    }
    if has(&["not found", "no such object"]) {
        return Some(ErrorKind::NotFound);
    }
    if has(&["not authorized", "permission denied on"]) {
        return Some(ErrorKind::Unauthorized);
    }
    None
}

fn remedy(kind: ErrorKind, text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    match kind {
        ErrorKind::Exhausted if lower.contains("limit") || lower.contains("maximum") => {
            Some("raise the project's limit, or set `engine.lxd.project` to another project")
        }
        ErrorKind::Exhausted => {
            Some("free some space in the storage pool, or set `engine.lxd.pool` to another one")
        }
        ErrorKind::InvalidInput if lower.contains("project not found") => {
            Some("set `engine.lxd.project` to one of `lxc project list`")
        }
        ErrorKind::InvalidInput if lower.contains("nesting") => Some(
            "allow it: `lxc project set PROJECT restricted.containers.nesting allow`, or use another project",
        ),
        ErrorKind::Unauthorized => {
            Some("let this client into the project: `lxc config trust list` shows what it may do")
        }
        _ => None,
    }
}

/// Says that something else than LXD answers.
pub(crate) fn not_lxd(endpoint: &Endpoint, status: StatusCode) -> Error {
    Error::new(ErrorKind::Unavailable, format!("`{endpoint}` is not LXD or Incus"))
        .with_cause(format!("something else answers there, with status {status}"))
        .with_remedy("name a server of LXD or Incus")
}

/// Says that the server does not know this client.
pub(crate) fn not_trusted(endpoint: &Endpoint) -> Error {
    let error =
        Error::new(ErrorKind::Unauthorized, format!("`{endpoint}` does not trust this client"))
            .with_cause("it knows no certificate of this user");
    match endpoint {
        Endpoint::Tls { host, port, .. } => error.with_remedy(format!(
            "add it as a remote: `lxc remote add NAME https://{host}:{port}`"
        )),
        _ => error.with_remedy("join the group of the socket, and log in again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_have_a_class_and_a_remedy() {
        let none = ErrorKind::Protocol;
        for (status, text, kind, remedy) in [
            (404, "Project not found", ErrorKind::InvalidInput, "lxc project list"),
            (404, "Instance not found", ErrorKind::NotFound, ""),
            (409, "Instance \"a\" already exists", ErrorKind::Conflict, ""),
            (
                500,
                "Failed to run: tar: write error: No space left on device",
                ErrorKind::Exhausted,
                "engine.lxd.pool",
            ),
            (400, "The instance is already running", ErrorKind::Conflict, ""),
            (
                500,
                "Error inserting volume \"a\" for project \"default\" in pool \"p\" of type \"custom\" into database \"UNIQUE constraint failed: index 'storage_volumes'\"",
                ErrorKind::Conflict,
                "",
            ),
            (400, "Instance is not running", ErrorKind::Conflict, ""),
            (400, "Instance is busy running a \"stop\" operation", ErrorKind::Conflict, ""),
            (
                400,
                "Invalid value \"true\" for config \"security.nesting\" on container \"a\" of project \"p\": Container nesting is forbidden",
                ErrorKind::InvalidInput,
                "restricted.containers.nesting allow",
            ),
            (
                400,
                "Failed checking if instance creation allowed: Reached maximum number of instances of type \"container\" in project \"p\"",
                ErrorKind::Exhausted,
                "raise the project's limit",
            ),
            (403, "not authorized", ErrorKind::Unauthorized, "lxc config trust"),
            (500, "", none, ""),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = of_answer("cannot do it", status, text);
            assert_eq!(error.kind(), kind, "{text}");
            let found = error.remedy().unwrap_or_default();
            assert!(
                found.contains(remedy) && found.is_empty() == remedy.is_empty(),
                "{text}: {found}"
            );
            assert!(!error.causes().is_empty());
        }
    }
}
