//! What is wrong with a settings file: where, and what to write instead.

use std::ops::Range;
use std::path::Path;

use boxwright_core::{Error, ErrorKind, Result, nearest};

/// Tables that a project's file may not have, and what each would decide.
const OF_THE_USER: [(&str, &str); 4] = [
    ("registry", "how registries are reached"),
    ("registries", "how registries are reached"),
    ("credentials", "who you are at registries"),
    ("credential", "who you are at registries"),
];

/// Makes of a parser's error one that names the setting, the place, and the nearest known name.
pub(super) fn parse_error(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let message = error.message().lines().next().unwrap_or_default();
    let unknown = unknown_field(message);
    let headline = match &unknown {
        Some((name, _)) => format!("unknown setting `{name}`"),
        None => format!("cannot read the settings `{}`", path.display()),
    };
    let mut result = Error::new(ErrorKind::InvalidInput, headline);
    if unknown.is_none() {
        result = result.with_cause(plain(message));
    }
    let shown = path.display();
    result = match error.span() {
        Some(span) => {
            let (line, column, excerpt) = excerpt(text, span);
            result
                .with_context("location", format!("{shown}:{line}:{column}"))
                .with_context("excerpt", excerpt)
        }
        None => result.with_context("location", shown.to_string()),
    };
    match unknown {
        Some((name, known)) => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            match nearest(&name, &known) {
                Some(near) => result.with_remedy(format!("use `{near}`")),
                None if known.is_empty() => result.with_remedy("take it out: nothing is set here"),
                None => result.with_remedy(format!("use one of `{}`", known.join("`, `"))),
            }
        }
        None => result.with_remedy("`boxwright config schema` says what each setting may be"),
    }
}

/// Takes the names of types in this program out of a parser's words.
fn plain(message: &str) -> String {
    match message.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a table"),
        None => message.to_owned(),
    }
}

/// Takes serde's sentence apart: ``unknown field `a`, expected one of `b`, `c` ``.
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((quoted.next()?, quoted.collect()))
}

/// Returns line and column of a span, counted from 1, and the line with the span marked under it.
fn excerpt(text: &str, span: Range<usize>) -> (usize, usize, String) {
    let start = floor(text, span.start);
    let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_text = text[from..].lines().next().unwrap_or_default();
    let line = text[..from].matches('\n').count() + 1;
    let column = text[from..start].chars().count() + 1;
    let end = floor(text, span.end.clamp(start, from + line_text.len().max(start - from)));
    let marks = "^".repeat(text[start..end].chars().count().max(1));
    let shown: String = line_text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let margin = " ".repeat(line.to_string().len());
    let before = " ".repeat(column - 1);
    (line, column, format!(" {line} | {shown}\n {margin} | {before}{marks}"))
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Fails for `engine = "podman"`, the slip that everyone makes once.
pub(super) fn refuse_engine_as_text(path: &Path, table: &toml::Table) -> Result<()> {
    let Some(toml::Value::String(name)) = table.get("engine") else { return Ok(()) };
    Err(Error::new(ErrorKind::InvalidInput, format!("`engine = \"{name}\"` is not a setting"))
        .with_cause("`engine` is a table")
        .with_context("file", path.display().to_string())
        .with_remedy(format!("write `engine.use = \"{name}\"`")))
}

/// Fails when a project's file has a table that only the user's own file may have.
pub(super) fn refuse_what_is_the_users(
    path: &Path,
    table: &toml::Table,
    user_file: Option<&Path>,
) -> Result<()> {
    let refuse = |what: String, decides: &str| {
        let own = user_file.map_or("the user's file".to_owned(), |it| it.display().to_string());
        Err(Error::new(ErrorKind::InvalidInput, format!("a project may not set `{what}`"))
            .with_cause(format!("it decides {decides}, and a checkout is not trusted with that"))
            .with_context("file", path.display().to_string())
            .with_remedy(format!("move it to `{own}`")))
    };
    for (name, decides) in OF_THE_USER {
        if table.contains_key(name) {
            return refuse(name.to_owned(), decides);
        }
    }
    let build = table.get("build").and_then(toml::Value::as_table);
    if build.is_some_and(|build| build.contains_key("ca-bundle")) {
        return refuse("build.ca-bundle".to_owned(), "whom steps trust");
    }
    let Some(toml::Value::Table(engines)) = table.get("engine") else { return Ok(()) };
    match engines.iter().find(|(_, value)| value.is_table()) {
        Some((name, _)) => refuse(format!("engine.{name}"), "where an engine is reached"),
        None => Ok(()),
    }
}
