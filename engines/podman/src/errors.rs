//! What the service's words mean: failures in, errors out.

use boxwright_core::{Error, ErrorKind};
use boxwright_http::http::StatusCode;

use crate::wire::Failure;

/// Says what went wrong when the service answered `status` with `body`.
pub(crate) fn of_answer(what: &str, status: StatusCode, body: &[u8]) -> Error {
    let text = match serde_json::from_slice::<Failure>(body) {
        Ok(failure) if !failure.message.is_empty() => failure.message,
        Ok(failure) if !failure.cause.is_empty() => failure.cause,
        _ => String::from_utf8_lossy(body).trim().to_owned(),
    };
    let kind = kind_of(&text).unwrap_or(match status.as_u16() {
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        400 => ErrorKind::InvalidInput,
        _ => ErrorKind::Protocol,
    });
    let error = Error::new(kind, what);
    if text.is_empty() {
        error.with_cause(format!("the service answered {status}"))
    } else {
        error.with_cause(one_line(&text))
    }
}

/// Says what went wrong in a transfer with `registry`, in the words of the service.
pub(crate) fn of_transfer(what: &str, registry: &str, text: &str) -> Error {
    let kind = kind_of(text).unwrap_or(ErrorKind::Protocol);
    let error = Error::new(kind, what).with_cause(one_line(text));
    match remedy(kind, registry, text) {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}

/// Says what went wrong in a build: at `step`, the instruction as the service announced it.
pub(crate) fn of_build(step: Option<&str>, text: &str) -> Error {
    let text = text.trim();
    let cause = readable(after_step(text, step));
    let cause = cause.as_str();
    if let (Some(step), Some(code)) = (step, exit_code(cause)) {
        return Error::step_failed(step, code);
    }
    let kind = dockerfile_kind(text).or_else(|| kind_of(cause)).unwrap_or(ErrorKind::BuildFailed);
    let message = match step {
        Some(step) => format!("cannot do `{}`", shortened(step)),
        None => "the build failed".to_owned(),
    };
    let mut error = Error::new(kind, message).with_cause(one_line(cause));
    if let Some(step) = step {
        error = error.with_context("step", step);
    }
    let registry = step.and_then(registry_of_step);
    let remedy = registry.and_then(|registry| remedy(kind, &registry, cause));
    match (remedy, kind) {
        (Some(remedy), _) => error.with_remedy(remedy),
        (None, ErrorKind::NotFound) if copies(step) => {
            error.with_remedy("correct the path, which is seen from the context, and see that no ignore file excludes it")
        }
        (None, ErrorKind::Exhausted) => {
            error.with_remedy("free some space where the service keeps its images")
        }
        (None, _) => error,
    }
}

/// Finds the class of a failure by the words of Podman, of its libraries, and of registries.
fn kind_of(text: &str) -> Option<ErrorKind> {
    let text = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // What is most specific comes first: a refused credential also says "error reading manifest".
    if has(&[
        "no space left on device",
        "disk quota exceeded",
        "toomanyrequests",
        "429",
        "413 request entity",
        "413 payload",
    ]) {
        return Some(ErrorKind::Exhausted);
    }
    if has(&[
        "unauthorized",
        "authentication required",
        "access to the resource is denied",
        "denied:",
        "403 (forbidden)",
        "403 forbidden",
        "401 (unauthorized)",
        "invalid username/password",
        "unable to retrieve auth token",
        "incorrect username or password",
    ]) {
        return Some(ErrorKind::Unauthorized);
    }
    if has(&[
        "manifest unknown",
        "name unknown",
        "repository name not known",
        "image not known",
        "no such image",
        "no such container",
        "no image found in",
        "no child with platform",
        "no match for platform",
        "404 (not found)",
        "image not found in manifest list",
        "no image found in manifest list",
        "choosing an image from manifest list",
    ]) {
        return Some(ErrorKind::NotFound);
    }
    if has(&[
        "image used by",
        "image is in use",
        "by id with more than one tag",
        "in use by",
        "ambiguous",
    ]) {
        return Some(ErrorKind::Conflict);
    }
    if has(&["no command or entrypoint provided"]) {
        return Some(ErrorKind::InvalidInput);
    }
    if has(&["invalid reference format", "normalizing image", "normalizing name"]) {
        return Some(ErrorKind::InvalidInput);
    }
    if has(&[
        "connection refused",
        "no such host",
        "i/o timeout",
        "network is unreachable",
        "no route to host",
        "x509:",
        "tls: ",
        "server gave http response",
        "connection reset",
        "unexpected eof",
        ": eof",
        "broken pipe",
        "context deadline exceeded",
        "500 internal server error",
        "502 bad gateway",
        "503 service unavailable",
        "504 gateway",
        "received unexpected http status",
    ]) {
        return Some(ErrorKind::Unavailable);
    }
    None
}

/// Whether the Dockerfile itself is to blame, or a file that it names.
fn dockerfile_kind(text: &str) -> Option<ErrorKind> {
    let lower = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&[
        "unknown instruction",
        "dockerfile parse error",
        "syntax error",
        "unknown flag",
        "requires at least",
        "requires exactly",
        "file with no instructions",
        "no from statement",
        "no build stage",
        "unterminated heredoc",
        "parsing main dockerfile",
        "invalid mount",
        "unsupported mount type",
        "must be an absolute",
        "accepts only",
        "failed to find the target",
        "reached eof",
    ]) {
        return Some(ErrorKind::InvalidDockerfile);
    }
    if has(&["copier: stat:", "no items matching glob", "no such file or directory"]) {
        return Some(ErrorKind::NotFound);
    }
    None
}

fn remedy(kind: ErrorKind, registry: &str, text: &str) -> Option<String> {
    let has = |word: &str| text.contains(word);
    match kind {
        ErrorKind::Unauthorized => Some(format!("log in with `boxwright login {registry}`")),
        ErrorKind::Unavailable if has("x509:") => Some(format!(
            "give the service the registry's certificate authority, as `/etc/containers/certs.d/{registry}/ca.crt` on its \
             machine (`~/.config/containers/certs.d/{registry}/ca.crt` for a rootless one)"
        )),
        ErrorKind::Unavailable if has("server gave HTTP response") => Some(format!(
            "set `insecure = true` under `[registry.\"{registry}\"]` in your own settings, if it is meant to be plain HTTP"
        )),
        ErrorKind::Unavailable => {
            Some(format!("see whether the machine of the service reaches `{registry}`"))
        }
        ErrorKind::Exhausted if has("no space left") => {
            Some("free some space where the service keeps its images".to_owned())
        }
        _ => None,
    }
}

/// Returns whether a registry that was asked by TLS speaks plain HTTP.
pub(crate) fn is_plain_http(text: &str) -> bool {
    text.contains("server gave HTTP response to HTTPS client")
}

/// Returns the exit code that ends the words of a failed `RUN`.
fn exit_code(cause: &str) -> Option<i64> {
    let at = cause.rfind("exit status ")?;
    let digits: String = cause[at + 12..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Whether a step takes files from the context or from another stage.
fn copies(step: Option<&str>) -> bool {
    let word = step.and_then(|step| step.split_whitespace().next()).unwrap_or_default();
    ["COPY", "ADD"].iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// Takes out of the words of Buildah what only its developers can use.
fn readable(cause: &str) -> String {
    let cause = cause.split(" &imagebuilder.Step{").next().unwrap_or(cause);
    let cause = cause.strip_prefix("Build error: ").unwrap_or(cause);
    match cause.split_once("\": copier: stat: ") {
        // The folder that it names is one of the service.
        Some((_, file)) => file.to_owned(),
        None => cause.trim().to_owned(),
    }
}

/// Cuts off what repeats the step: `building at STEP "…": `.
fn after_step<'a>(text: &'a str, step: Option<&str>) -> &'a str {
    let Some(at) = text.find("building at STEP \"") else { return text };
    let rest = &text[at + 18..];
    if let Some(after) = step.and_then(|step| rest.strip_prefix(step)) {
        return after.strip_prefix("\": ").unwrap_or(after);
    }
    rest.split_once("\": ").map_or(text, |(_, after)| after)
}

/// Returns the registry that a `FROM` takes its image from.
fn registry_of_step(step: &str) -> Option<String> {
    let mut words = step.split_whitespace();
    words.next().filter(|word| word.eq_ignore_ascii_case("FROM"))?;
    let name = words.find(|word| !word.starts_with("--"))?;
    Some(name.parse::<boxwright_core::ImageRef>().ok()?.registry().to_owned())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns `step` on one line of at most 80 characters.
fn shortened(step: &str) -> String {
    let line = one_line(step);
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
