//! An error: what happened, why, with what, and what to do.

use std::fmt::Write as _;

use boxwright_core::{EngineInfo, Error};
use serde_json::{Map, Value, json};

use super::{Ink, Paint, clean};

/// Returns an error for people, over several lines.
pub(crate) fn render_error(error: &Error, engine: Option<&EngineInfo>, paint: Paint) -> String {
    let mut out = format!("{} {}\n", paint.ink(Ink::Red, "error:"), clean(&error.to_string()));
    let context = |name: &str| error.context().iter().find(|(it, _)| *it == name);
    // Writing to a string cannot fail.
    if let Some((_, place)) = context("location") {
        let _ = writeln!(out, "  {} {}", paint.ink(Ink::Cyan, "-->"), clean(place));
    }
    let excerpt = context("excerpt");
    for line in excerpt.map(|(_, text)| text.lines()).into_iter().flatten() {
        let _ = writeln!(out, "{}", clean(line));
    }
    for cause in error.causes() {
        out += &field("caused by", &cause, paint);
    }
    for (name, value) in error.context() {
        if !matches!(*name, "location" | "excerpt") {
            out += &field(name, value, paint);
        }
    }
    if let Some(engine) = engine_line(error, engine) {
        out += &field("engine", &engine, paint);
    }
    if let Some(remedy) = error.remedy() {
        let gap = if excerpt.is_some() { "" } else { "\n" };
        let _ = writeln!(out, "{gap}{} {}", paint.ink(Ink::Green, "help:"), clean(remedy));
    }
    out
}

/// Returns something to know of one thing: what, in detail, and what to do.
pub(crate) fn render_remark(
    of: &str,
    message: &str,
    details: &[String],
    remedy: Option<&str>,
    paint: Paint,
) -> String {
    let mut out = format!("{} {}\n", paint.ink(Ink::Bold, &format!("{of}:")), clean(message));
    for detail in details {
        let _ = writeln!(out, "  {}", clean(&without_number(detail)));
    }
    if let Some(remedy) = remedy {
        let _ = writeln!(out, "  {} {}", paint.ink(Ink::Green, "help:"), clean(remedy));
    }
    out
}

/// A fact of several parts, such as each place that was looked at, gets a line for each.
fn field(name: &str, value: &str, paint: Paint) -> String {
    let name = paint.ink(Ink::Bold, &format!("{name}:"));
    let value = without_number(value);
    let parts: Vec<&str> = value.split("; ").collect();
    if parts.len() < 2 || value.len() < 80 {
        return format!("  {name} {}\n", clean(&value));
    }
    let lines: String = parts.iter().map(|part| format!("    {}\n", clean(part))).collect();
    format!("  {name}\n{lines}")
}

/// Takes out what the standard library adds to the system's words: ` (os error 2)`.
pub(crate) fn without_number(text: &str) -> String {
    let Some((before, rest)) = text.split_once(" (os error ") else { return text.to_owned() };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{}", rest.strip_prefix(')').unwrap_or(rest))
}

fn engine_line(error: &Error, engine: Option<&EngineInfo>) -> Option<String> {
    let name = error.engine()?;
    let same = engine.filter(|it| it.name == *name && !it.version.is_empty());
    let version = same.map(|it| format!(" {}", it.version)).unwrap_or_default();
    let endpoint = error.endpoint().map(|it| format!(" at {it}")).unwrap_or_default();
    Some(format!("{name}{version}{endpoint}"))
}

/// Returns the same facts as one JSON object on one line.
pub(crate) fn render_error_json(error: &Error, engine: Option<&EngineInfo>, code: u8) -> String {
    let context = error.context().iter();
    let context: Map<String, Value> =
        context.map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
    let version = engine.filter(|it| Some(&it.name) == error.engine()).map(|it| &it.version);
    let object = json!({
        "event": "error",
        "kind": error.kind().as_str(),
        "message": error.to_string(),
        "causes": error.causes(),
        "context": context,
        "engine": error.engine(),
        "version": version,
        "endpoint": error.endpoint(),
        "operation": error.operation().map(|it| it.as_str()),
        "remedy": error.remedy(),
        "exit_code": code,
    });
    object.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::{EngineName, ErrorKind, Operation};

    fn podman() -> EngineInfo {
        EngineInfo::new(EngineName::new("podman"), "5.2.1", "unix:///p.sock", "buildah")
    }

    #[test]
    fn says_what_happened_why_where_and_what_to_do() {
        let error = Error::new(ErrorKind::Unauthorized, "cannot push `ghcr.io/acme/api:1.4`")
            .with_cause("the registry refused the credentials (403 Forbidden)")
            .with_remedy("log in with `boxwright login ghcr.io`, or push to a repository you own")
            .at(EngineName::new("podman"), "unix:///p.sock", Operation::Push);
        assert_eq!(
            render_error(&error, Some(&podman()), Paint::PLAIN),
            "error: cannot push `ghcr.io/acme/api:1.4`
  caused by: the registry refused the credentials (403 Forbidden)
  engine: podman 5.2.1 at unix:///p.sock

help: log in with `boxwright login ghcr.io`, or push to a repository you own
"
        );
    }

    #[test]
    fn shows_the_line_that_is_wrong() {
        let error = Error::new(ErrorKind::InvalidDockerfile, "unknown instruction `COPPY`")
            .with_context("location", "Dockerfile:4:1")
            .with_context("excerpt", " 4 | COPPY . /app\n   | ^^^^^")
            .with_remedy("use `COPY`");
        assert_eq!(
            render_error(&error, None, Paint::PLAIN),
            "error: unknown instruction `COPPY`
  --> Dockerfile:4:1
 4 | COPPY . /app
   | ^^^^^
help: use `COPY`
"
        );
    }

    #[test]
    fn many_places_get_a_line_each() {
        let cause = "docker: nothing at unix:///var/run/docker.sock; podman: nothing at unix:///run/podman/podman.sock";
        let error = Error::new(ErrorKind::Unavailable, "no engine").with_cause(cause);
        assert_eq!(
            render_error(&error, None, Paint::PLAIN),
            "error: no engine
  caused by:
    docker: nothing at unix:///var/run/docker.sock
    podman: nothing at unix:///run/podman/podman.sock
"
        );
    }

    #[test]
    fn the_systems_words_come_without_their_number() {
        let cause = std::io::Error::from_raw_os_error(2);
        let error = Error::new(ErrorKind::NotFound, "cannot read `a`").with_source(cause);
        assert_eq!(
            render_error(&error, None, Paint::PLAIN),
            "error: cannot read `a`\n  caused by: No such file or directory\n"
        );
        assert_eq!(without_number("a (os error 13): b"), "a: b");
    }

    #[test]
    fn json_has_the_same_facts() {
        let error = Error::new(ErrorKind::BuildFailed, "a step failed")
            .with_context("exit code", "2")
            .at(EngineName::new("podman"), "unix:///p.sock", Operation::Build);
        let text = render_error_json(&error, Some(&podman()), 1);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["kind"], "build-failed");
        assert_eq!((&value["version"], &value["exit_code"]), (&json!("5.2.1"), &json!(1)));
        assert_eq!((&value["context"]["exit code"], &value["remedy"]), (&json!("2"), &Value::Null));
    }
}
