//! The daemon's failures in our errors. Pure, and table-tested on what daemons really said.

mod rules;

use std::error::Error as StdError;

use bollard::errors::Error as BollardError;
use boxwright_core::{Error, ErrorKind, ImageRef};

use rules::{BUILD, DAEMON, REGISTRY, Rule, find};

/// Returns the error for what was attempted and the daemon refused, with what it answered.
pub(crate) fn refused(what: impl Into<String>, status: u16, words: &str) -> Error {
    let error = match find(&[DAEMON], words) {
        Some(rule) => apply(Error::new(rule.kind, what), rule, words, None),
        None => Error::new(kind_of_status(status), what).with_cause(words.trim()),
    };
    error.with_context("status", status.to_string())
}

/// Returns the error for a push or a pull of `image` that ended with `words`.
pub(crate) fn registry_failed(what: impl Into<String>, image: &ImageRef, words: &str) -> Error {
    match find(&[DAEMON, REGISTRY], &without_name(words, image)) {
        Some(rule) => apply(Error::new(rule.kind, what), rule, words, Some(image.registry())),
        None => Error::new(ErrorKind::Unavailable, what).with_cause(words.trim()),
    }
}

/// Returns the error for a build that ended with `words` at `step`, by whichever builder.
pub(crate) fn build_failed(step: Option<&str>, code: Option<i64>, words: &str) -> Error {
    let code = code.or_else(|| exit_code(words));
    if let (Some(step), Some(code)) = (step, code) {
        return Error::step_failed(step, code);
    }
    let at_base = step.is_none_or(|step| {
        step.contains("load metadata for ") || step.to_ascii_uppercase().contains("FROM")
    });
    let base = step.filter(|_| at_base).and_then(base_of);
    let plain = base.as_ref().map_or_else(|| words.to_owned(), |base| without_name(words, base));
    let tables: &[&[Rule]] = if at_base { &[BUILD, DAEMON, REGISTRY] } else { &[DAEMON, BUILD] };
    let what = match step {
        Some(step) => format!("the step `{step}` failed"),
        None => "the daemon refused the build".to_owned(),
    };
    let error = match find(tables, &plain) {
        Some(rule) => {
            let registry = base.as_ref().map(ImageRef::registry);
            apply(Error::new(rule.kind, what), rule, words, registry)
        }
        None => Error::new(ErrorKind::BuildFailed, what).with_cause(words.trim()),
    };
    match step {
        Some(step) => error.with_context("step", step),
        None => error,
    }
}

/// Returns the exit status in the classic builder's words for a command that failed.
fn exit_code(words: &str) -> Option<i64> {
    let (_, code) = words.rsplit_once("returned a non-zero code: ")?;
    code.trim().parse().ok()
}

/// Returns the image that a step with `FROM`, or BuildKit's step for its metadata, names.
fn base_of(step: &str) -> Option<ImageRef> {
    if let Some((_, image)) = step.split_once("load metadata for ") {
        return image.trim().parse().ok();
    }
    let mut words = step.split_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("from"))?;
    words.find(|word| !word.starts_with("--"))?.parse().ok()
}

/// Takes the image's own name out of `words`: nobody's `denied-list` is refused access.
fn without_name(words: &str, image: &ImageRef) -> String {
    let path = format!("/v2/{}/", image.repository());
    words.replace(&image.name(), "").replace(&path, "/")
}

fn apply(error: Error, rule: &Rule, words: &str, registry: Option<&str>) -> Error {
    let error = error.with_cause(format!("{}: {}", rule.meaning, words.trim()));
    match (rule.remedy, registry) {
        (Some(remedy), Some(registry)) => error.with_remedy(remedy.replace("{registry}", registry)),
        (Some(remedy), None) => error.with_remedy(remedy.replace("{registry}", "REGISTRY")),
        (None, _) => error,
    }
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        400 => ErrorKind::InvalidInput,
        401 | 403 => ErrorKind::Unauthorized,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        501 => ErrorKind::Unsupported,
        503 => ErrorKind::Unavailable,
        _ => ErrorKind::Protocol,
    }
}

/// Returns the error for what was attempted through `bollard`.
pub(crate) fn failed(what: impl Into<String>, error: BollardError) -> Error {
    match error {
        BollardError::DockerResponseServerError { status_code, message } => {
            refused(what, status_code, &message)
        }
        BollardError::DockerStreamError { error } => refused(what, 500, &error),
        BollardError::RequestTimeoutError => Error::new(ErrorKind::Exhausted, what)
            .with_cause("the daemon did not answer in time")
            .with_remedy("see the daemon's log; restart it if it hangs"),
        BollardError::IOError { err } => broken(what, err),
        BollardError::HyperResponseError { err } => gone(what, err),
        error => Error::new(ErrorKind::Protocol, what).with_source(error),
    }
}

/// Returns the error for a container that did not start.
pub(crate) fn not_started(error: BollardError) -> Error {
    let what = "cannot start the command";
    let BollardError::DockerResponseServerError { message, .. } = &error else {
        return failed(what, error);
    };
    let words = message.to_ascii_lowercase();
    if words.contains("executable file not found") || words.contains("no such file or directory") {
        return Error::new(ErrorKind::NotFound, what)
            .with_cause(format!("the image has no such program: {}", message.trim()))
            .with_remedy("name a program that is in the image");
    }
    if words.contains("unable to find user") || words.contains("unable to find group") {
        return Error::new(ErrorKind::NotFound, what)
            .with_cause(format!("the image has no such user: {}", message.trim()))
            .with_remedy("name a user of the image's /etc/passwd, or a number");
    }
    if words.contains("permission denied") {
        return Error::new(ErrorKind::InvalidInput, what)
            .with_cause(format!("the file is not executable: {}", message.trim()));
    }
    failed(what, error)
}

/// Returns the error inside `error` if it is one of ours that went through a foreign type.
fn broken(what: impl Into<String>, error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(error) => gone(what, error),
    }
}

fn gone(what: impl Into<String>, error: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, what)
        .with_source(error)
        .with_remedy("see whether the daemon still runs, and what its log says")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> ImageRef {
        text.parse().unwrap()
    }

    /// What Docker 20.10.24 said, unless another version is named.
    #[test]
    fn registries_failures_have_their_kind_and_a_remedy() {
        for (words, kind) in [
            ("no basic auth credentials", ErrorKind::Unauthorized),
            ("unauthorized: authentication required", ErrorKind::Unauthorized),
            ("unauthorized: incorrect username or password", ErrorKind::Unauthorized),
            ("denied: requested access to the resource is denied", ErrorKind::Unauthorized),
            (
                "Get \"https://nowhere.invalid/v2/\": dial tcp: lookup nowhere.invalid on 10.255.255.53:53: no such host",
                ErrorKind::Unavailable,
            ),
            (
                "Get \"http://localhost:5999/v2/\": dial tcp 127.0.0.1:5999: connect: connection refused",
                ErrorKind::Unavailable,
            ),
            (
                "Get \"https://r.example/v2/\": x509: certificate signed by unknown authority",
                ErrorKind::Unavailable,
            ),
            (
                "Get \"https://r.example:5000/v2/\": http: server gave HTTP response to HTTPS client",
                ErrorKind::Unavailable,
            ),
            (
                "manifest for localhost:5200/nothere:1 not found: manifest unknown: manifest unknown",
                ErrorKind::NotFound,
            ),
            (
                "pull access denied for nosuch, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                ErrorKind::NotFound,
            ),
            (
                "error parsing HTTP 413 response body: invalid character '<' looking for beginning of value: \"<html><head><title>413 Request Entity Too Large</title></head></html>\"",
                ErrorKind::Exhausted,
            ),
            ("received unexpected HTTP status: 500 Internal Server Error", ErrorKind::Unavailable),
            (
                "read tcp 127.0.0.1:37920->127.0.0.1:5290: read: connection reset by peer",
                ErrorKind::Unavailable,
            ),
            ("denied: tag is immutable", ErrorKind::Conflict),
            ("denied: no", ErrorKind::Unauthorized),
            ("toomanyrequests: You have reached your pull rate limit.", ErrorKind::Exhausted),
            (
                "An image does not exist locally with the tag: localhost:5200/nosuch",
                ErrorKind::NotFound,
            ),
            (
                "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
                ErrorKind::Exhausted,
            ),
        ] {
            let error =
                registry_failed("cannot push `r.example/a:1`", &image("r.example/a:1"), words);
            assert_eq!(error.kind(), kind, "{words}");
            assert!(error.remedy().is_some_and(|remedy| !remedy.contains('{')), "{words}");
            assert!(error.causes()[0].ends_with(words), "{words}");
        }
    }

    #[test]
    fn a_login_names_the_registry() {
        let error =
            registry_failed("cannot push", &image("ghcr.io/a"), "no basic auth credentials");
        assert_eq!(error.remedy(), Some("log in with `boxwright login ghcr.io`"));
    }

    #[test]
    fn an_image_cannot_be_named_after_its_failure() {
        let words =
            "manifest for r.example/is/denied:1 not found: manifest unknown: manifest unknown";
        let error = registry_failed("cannot pull", &image("r.example/is/denied:1"), words);
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let words = "Head \"http://r.example/v2/x509/manifests/1\": no basic auth credentials";
        let error = build_failed(Some("[1/1] FROM r.example/x509:1"), None, words);
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
    }

    #[test]
    fn a_command_that_fails_is_a_failed_build_with_step_and_status() {
        let words = "The command '/bin/sh -c echo before; exit 42' returned a non-zero code: 42";
        for code in [Some(42), None] {
            let error = build_failed(Some("RUN echo before; exit 42"), code, words);
            assert_eq!(error.kind(), ErrorKind::BuildFailed);
            let context = error.context();
            assert_eq!(context[0], ("step", "RUN echo before; exit 42".to_owned()));
            assert_eq!(context[1], ("exit code", "42".to_owned()));
        }
    }

    #[test]
    fn other_failed_builds_have_their_kind() {
        for (step, words, kind) in [
            (
                None,
                "dockerfile parse error line 2: unknown instruction: COPPY",
                ErrorKind::InvalidDockerfile,
            ),
            (None, "failed to reach build target nope in Dockerfile", ErrorKind::NotFound),
            (None, "Cannot locate specified Dockerfile: nope", ErrorKind::NotFound),
            (
                Some("RUN --mount=type=cache,target=/x true"),
                "the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled",
                ErrorKind::Unsupported,
            ),
            (
                Some("COPY nothere b"),
                "COPY failed: file not found in build context or excluded by .dockerignore: stat nothere: file does not exist",
                ErrorKind::BuildFailed,
            ),
            (
                Some("FROM localhost:5200/nothere:1"),
                "manifest for localhost:5200/nothere:1 not found: manifest unknown: manifest unknown",
                ErrorKind::NotFound,
            ),
            (
                Some("FROM localhost:5201/a"),
                "Head \"http://localhost:5201/v2/a/manifests/latest\": no basic auth credentials",
                ErrorKind::Unauthorized,
            ),
            (
                Some("COPY secrets/x /"),
                "failed to compute cache key: \"/secrets/x\" not found: not found",
                ErrorKind::BuildFailed,
            ),
            (Some("RUN true"), "write /x: no space left on device", ErrorKind::Exhausted),
            (Some("RUN true"), "something new", ErrorKind::BuildFailed),
        ] {
            assert_eq!(build_failed(step, None, words).kind(), kind, "{words}");
        }
        let error = build_failed(Some("FROM localhost:5201/a"), None, "no basic auth credentials");
        assert_eq!(error.remedy(), Some("log in with `boxwright login localhost:5201`"));
    }

    #[test]
    fn statuses_of_the_daemon_have_their_kind() {
        for (status, words, kind) in [
            (404, "no such image: nosuch:1: No such image: nosuch:1", ErrorKind::NotFound),
            (
                409,
                "conflict: unable to delete 47d2fe67755b (must be forced) - image is referenced in multiple repositories",
                ErrorKind::Conflict,
            ),
            (
                409,
                "conflict: unable to remove repository reference \"a:1\" (must force) - container 0 is using its referenced image 1",
                ErrorKind::Conflict,
            ),
            (400, "Client sent an HTTP request to an HTTPS server.\n", ErrorKind::Unavailable),
            (500, "empty export - not implemented", ErrorKind::Unsupported),
            (400, "invalid reference format", ErrorKind::InvalidInput),
            (500, "boom", ErrorKind::Protocol),
        ] {
            assert_eq!(refused("cannot", status, words).kind(), kind, "{words}");
        }
    }

    #[test]
    fn a_command_that_cannot_start_says_what_is_missing() {
        for (message, kind) in [
            (
                "OCI runtime create failed: runc create failed: unable to start container process: exec: \"/nope\": stat /nope: no such file or directory: unknown",
                ErrorKind::NotFound,
            ),
            (
                "OCI runtime create failed: exec: \"nope\": executable file not found in $PATH: unknown",
                ErrorKind::NotFound,
            ),
            (
                "unable to find user www-data: no matching entries in passwd file",
                ErrorKind::NotFound,
            ),
            (
                "OCI runtime create failed: exec: \"/f\": permission denied: unknown",
                ErrorKind::InvalidInput,
            ),
            ("driver failed programming external connectivity", ErrorKind::Protocol),
        ] {
            let message = message.to_owned();
            let error = BollardError::DockerResponseServerError { status_code: 500, message };
            assert_eq!(not_started(error).kind(), kind);
        }
    }

    #[test]
    fn an_error_of_ours_comes_back_whole() {
        let ours = Error::new(ErrorKind::Unavailable, "cannot reach it").with_remedy("start it");
        let through = BollardError::IOError { err: std::io::Error::other(ours) };
        let error = failed("cannot list images", through);
        assert_eq!(
            (error.to_string().as_str(), error.remedy()),
            ("cannot reach it", Some("start it"))
        );
    }
}
