//! What the service's words mean: failures in, errors out.

use boxwright_core::{Error, ErrorKind};
use boxwright_http::http::StatusCode;

use crate::wire::Failure;

/// Says what went wrong when the service answered `status` with `body`.
pub(crate) fn of_answer(what: &str, status: StatusCode, body: &[u8]) -> Error {
    // QUIRK(podman 4.3): a build whose context cannot be fetched answers several objects, of which the first counts.
    let first = serde_json::Deserializer::from_slice(body).into_iter::<Failure>().next();
    let text = match first {
        Some(Ok(failure)) if !failure.message.is_empty() => failure.message,
        Some(Ok(failure)) if !failure.cause.is_empty() => failure.cause,
        _ => String::from_utf8_lossy(body).trim().to_owned(),
    };
    let kind = kind_of(&text).unwrap_or(match status.as_u16() {
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        400 => ErrorKind::InvalidInput,
        _ => ErrorKind::Protocol,
    });
    let error = Error::new(kind, what);
    if text.contains("invalid symlink") {
        return error.with_cause(one_line(&text)).with_remedy(
            "name the link in `.dockerignore`: Podman unpacks no context with a link that leads out of it",
        );
    }
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

/// Whether a build failed by no fault of its own: the runtime of a step was killed, and not the step's command, or
/// somebody removed an image while the service looked for one to take steps from.
pub(crate) fn is_broken_off(error: &Error) -> bool {
    let known = ["while running runtime: signal: killed", "layer not known"];
    error.causes().iter().any(|cause| known.iter().any(|known| cause.contains(known)))
}

/// Says what went wrong in a build: at `step`, the instruction as the service announced it.
///
/// `runtime` is what the runtime said when it could not start the step's command: then the exit code is its own.
pub(crate) fn of_build(step: Option<&str>, text: &str, runtime: Option<&str>) -> Error {
    let text = text.trim();
    let cause = readable(after_step(text, step));
    let cause = cause.as_str();
    if let (Some(step), Some(code), None) = (step, exit_code(cause), runtime) {
        return Error::step_failed(step, code);
    }
    let kind = match runtime {
        Some(_) => ErrorKind::BuildFailed,
        None => dockerfile_kind(text).or_else(|| kind_of(cause)).unwrap_or(ErrorKind::BuildFailed),
    };
    let cause = runtime.map_or(cause, said_by_runtime);
    let message = match step {
        Some(step) => format!("cannot do `{}`", shortened(step)),
        None if kind == ErrorKind::InvalidDockerfile => "cannot read the Dockerfile".to_owned(),
        None => "cannot build".to_owned(),
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
        // Never the bare number: a registry's port may hold it.
        "too many requests",
        "status 429",
        "status code 429",
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
    if has(&[
        "no command or entrypoint provided",
        "invalid symlink",
        "unable to find user",
        "does not exist on container",
    ]) {
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
        "no contents in",
        " only supports the ",
        "must have",
        "requires either",
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
    if has(&["was not found in the provided dockerfile"]) {
        return Some(ErrorKind::NotFound);
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
    let cause = match cause.strip_prefix("parsing main Dockerfile: ") {
        Some(rest) => rest.split_once(": ").map_or(rest, |(_, problem)| problem),
        None => cause,
    };
    match cause.split_once("\": copier: stat: ") {
        // The folder that it names is one of the service.
        Some((_, file)) => file.to_owned(),
        None => cause.trim().to_owned(),
    }
}

/// Takes the message out of a line of a runtime's log.
fn said_by_runtime(line: &str) -> &str {
    let message = line.split_once("msg=\"").and_then(|(_, rest)| rest.rsplit_once('"'));
    message.map_or(line, |(message, _)| message)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::BuildLog;
    use crate::wire::Line;

    fn shown(error: &Error) -> String {
        let mut text = format!("{}: {error}\n", error.kind());
        for cause in error.causes() {
            text.push_str(&format!("  caused by: {cause}\n"));
        }
        for (name, value) in error.context() {
            text.push_str(&format!("  {name}: {value}\n"));
        }
        if let Some(remedy) = error.remedy() {
            text.push_str(&format!("  help: {remedy}\n"));
        }
        text
    }

    #[test]
    fn a_runtime_that_was_killed_is_told_from_a_command_that_was() {
        let step = "RUN printf x";
        let of = |text: &str| of_build(Some(step), text, None);
        let random = "building at STEP \"RUN printf x\": while running runtime: signal: killed";
        assert!(is_broken_off(&of(random)));
        let command = "building at STEP \"RUN printf x\": while running runtime: exit status 137";
        assert!(!is_broken_off(&of(command)));
    }

    /// Returns the error of a recorded build.
    fn failed(recorded: &str) -> String {
        let mut log = BuildLog::default();
        for line in recorded.lines() {
            let line: Line = serde_json::from_str(line).unwrap();
            if let Some(text) = line.failure() {
                return shown(&of_build(log.instruction(), text, log.runtime_failure()));
            }
            log.text(line.stream.as_deref().unwrap_or_default());
        }
        panic!("it did not fail");
    }

    #[test]
    fn failed_builds_say_which_step_and_why() {
        let recorded = [
            include_str!("../tests/recorded/4.3.1/build-run-failed.ndjson"),
            include_str!("../tests/recorded/4.3.1/build-no-such-command.ndjson"),
            include_str!("../tests/recorded/4.3.1/build-copy-failed.ndjson"),
            include_str!("../tests/recorded/4.3.1/build-unknown-instruction.ndjson"),
            include_str!("../tests/recorded/4.3.1/build-unknown-flag.ndjson"),
            include_str!("../tests/recorded/4.3.1/build-does-not-parse.ndjson"),
            include_str!("../tests/recorded/4.3.1/build-no-such-target.ndjson"),
            include_str!("../tests/recorded/4.3.1/build-no-manifest.ndjson"),
            include_str!("../tests/recorded/4.3.1/build-unauthorized.ndjson"),
            include_str!("../tests/recorded/4.3.1/build-registry-down.ndjson"),
        ];
        insta::assert_snapshot!(recorded.map(failed).concat(), @r#"
        build-failed: `RUN echo "no newline"; exit 42` exited with status 42
          step: RUN echo "no newline"; exit 42
          exit code: 42
        build-failed: cannot do `RUN ["/nosuch"]`
          caused by: runc create failed: unable to start container process: exec: \"/nosuch\": stat /nosuch: no such file or directory
          step: RUN ["/nosuch"]
        not-found: cannot do `COPY missing /x`
          caused by: "/missing": no such file or directory
          step: COPY missing /x
          help: correct the path, which is seen from the context, and see that no ignore file excludes it
        invalid-dockerfile: cannot do `COPPY missing /x`
          caused by: Unknown instruction: "COPPY"
          step: COPPY missing /x
        invalid-dockerfile: cannot do `COPY --parents a b`
          caused by: COPY only supports the --chmod=<permissions> --chown=<uid:gid> and the --from=<image|stage> flags
          step: COPY --parents a b
        invalid-dockerfile: cannot read the Dockerfile
          caused by: ENV must have two arguments
        not-found: cannot build
          caused by: The target "nope" was not found in the provided Dockerfile
        not-found: cannot do `FROM localhost:5100/none:1`
          caused by: creating build container: initializing source docker://localhost:5100/none:1: reading manifest 1 in localhost:5100/none: manifest unknown: manifest unknown
          step: FROM localhost:5100/none:1
        unauthorized: cannot do `FROM localhost:5101/a:1`
          caused by: creating build container: initializing source docker://localhost:5101/a:1: reading manifest 1 in localhost:5101/a: unauthorized: authentication required
          step: FROM localhost:5101/a:1
          help: log in with `boxwright login localhost:5101`
        unavailable: cannot do `FROM localhost:5199/none:1`
          caused by: creating build container: initializing source docker://localhost:5199/none:1: pinging container registry localhost:5199: Get "https://localhost:5199/v2/": dial tcp 127.0.0.1:5199: connect: connection refused
          step: FROM localhost:5199/none:1
          help: see whether the machine of the service reaches `localhost:5199`
        "#);
    }

    #[test]
    fn failed_transfers_say_what_to_do() {
        let texts = [
            "trying to reuse blob sha256:0 at destination: unauthorized: authentication required",
            "reading manifest 1 in r.example/none: manifest unknown: manifest unknown",
            "pinging container registry r.example: Get \"https://r.example/v2/\": x509: certificate signed by unknown authority",
            "pinging container registry r.example: Get \"https://r.example/v2/\": http: server gave HTTP response to HTTPS client",
            "writing blob: uploading layer chunked: received unexpected HTTP status: 500 Internal Server Error",
            "writing blob: initiating layer upload to /v2/a/blobs/uploads/ in r.example: StatusCode: 413, 413 Request Entity Too Large",
            "reading manifest 1 in r.example/a: toomanyrequests: rate limit",
            "writing blob: requested access to the resource is denied",
            "dial tcp: lookup r.example: no such host",
            "storing blob: write /var/tmp/x: no space left on device",
            "something new",
        ];
        let all =
            texts.map(|text| shown(&of_transfer("cannot push `r.example/a:1`", "r.example", text)));
        insta::assert_snapshot!(all.concat(), @r#"
        unauthorized: cannot push `r.example/a:1`
          caused by: trying to reuse blob sha256:0 at destination: unauthorized: authentication required
          help: log in with `boxwright login r.example`
        not-found: cannot push `r.example/a:1`
          caused by: reading manifest 1 in r.example/none: manifest unknown: manifest unknown
        unavailable: cannot push `r.example/a:1`
          caused by: pinging container registry r.example: Get "https://r.example/v2/": x509: certificate signed by unknown authority
          help: give the service the registry's certificate authority, as `/etc/containers/certs.d/r.example/ca.crt` on its machine (`~/.config/containers/certs.d/r.example/ca.crt` for a rootless one)
        unavailable: cannot push `r.example/a:1`
          caused by: pinging container registry r.example: Get "https://r.example/v2/": http: server gave HTTP response to HTTPS client
          help: set `insecure = true` under `[registry."r.example"]` in your own settings, if it is meant to be plain HTTP
        unavailable: cannot push `r.example/a:1`
          caused by: writing blob: uploading layer chunked: received unexpected HTTP status: 500 Internal Server Error
          help: see whether the machine of the service reaches `r.example`
        exhausted: cannot push `r.example/a:1`
          caused by: writing blob: initiating layer upload to /v2/a/blobs/uploads/ in r.example: StatusCode: 413, 413 Request Entity Too Large
        exhausted: cannot push `r.example/a:1`
          caused by: reading manifest 1 in r.example/a: toomanyrequests: rate limit
        unauthorized: cannot push `r.example/a:1`
          caused by: writing blob: requested access to the resource is denied
          help: log in with `boxwright login r.example`
        unavailable: cannot push `r.example/a:1`
          caused by: dial tcp: lookup r.example: no such host
          help: see whether the machine of the service reaches `r.example`
        exhausted: cannot push `r.example/a:1`
          caused by: storing blob: write /var/tmp/x: no space left on device
          help: free some space where the service keeps its images
        protocol: cannot push `r.example/a:1`
          caused by: something new
        "#);
    }

    #[test]
    fn answers_are_told_apart_by_words_before_status() {
        let answer = |status: u16, body: &[u8]| {
            shown(&of_answer("cannot inspect `a`", StatusCode::from_u16(status).unwrap(), body))
        };
        let all = [
            answer(404, include_bytes!("../tests/recorded/4.3.1/no-such-image.json")),
            answer(409, br#"{"cause":"image is in use by a container","message":"image used by 0123: image is in use by a container","response":409}"#),
            answer(500, b""),
            answer(500, br#"{"cause":"exit status 128","message":"cloning failed","response":500} {"message":"more","response":400}"#),
            answer(502, b"<html>bad gateway</html>"),
        ];
        insta::assert_snapshot!(all.concat(), @r#"
        not-found: cannot inspect `a`
          caused by: failed to find image nosuch: nosuch: image not known
        conflict: cannot inspect `a`
          caused by: image used by 0123: image is in use by a container
        protocol: cannot inspect `a`
          caused by: the service answered 500 Internal Server Error
        protocol: cannot inspect `a`
          caused by: cloning failed
        protocol: cannot inspect `a`
          caused by: <html>bad gateway</html>
        "#);
    }
}
