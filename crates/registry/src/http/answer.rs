//! What a registry answered, when that is not what was asked for.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use boxwright_core::ErrorKind;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::transport::authority;
use super::trouble::{failure_of, timed_out};
use crate::failure::{Failure, Outcome, Retry};

/// More of an error's text is not read.
const ERROR_LIMIT: usize = 64 << 10;

/// Who answered, and in which role it was asked: for the words and the remedies of errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answerer<'a> {
    /// The registry, as the user calls it.
    pub(crate) registry: &'a str,
    /// Whether the user's credentials went along.
    pub(crate) had_credentials: bool,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Reads an answer that is not a success, and says what it means.
pub(crate) async fn refusal(answer: Response, by: Answerer<'_>, silence: Duration) -> Failure {
    let status = answer.status();
    let retry_after = retry_after(answer.headers(), SystemTime::now());
    let is_html = is_html(answer.headers());
    // The text only adds to the status, so what cannot be read of it is left out.
    let text = read_bytes(answer, ERROR_LIMIT, silence).await.unwrap_or_default();
    let mut failure = of_status(status, retry_after, by);
    if is_html {
        failure.is_page = true;
        failure = failure.with_detail("it answered with an HTML page, as no registry does");
        if failure.why.remedy().is_none() {
            failure = failure
                .with_remedy(format!("check that `{}` is a registry and not a proxy", by.registry));
        }
    } else if let Some(detail) = detail(&text) {
        failure = failure.with_detail(detail);
    }
    failure
}

fn of_status(status: StatusCode, retry_after: Option<Duration>, by: Answerer<'_>) -> Failure {
    let registry = by.registry;
    let named = named(status);
    let login = format!("log in with `boxwright login {registry}`");
    let failure = match status {
        StatusCode::UNAUTHORIZED if by.had_credentials => Failure::new(
            ErrorKind::Unauthorized,
            format!("`{registry}` refused the credentials ({named})"),
        )
        .with_remedy(format!("log in again with `boxwright login {registry}`")),
        StatusCode::UNAUTHORIZED => Failure::new(
            ErrorKind::Unauthorized,
            format!("`{registry}` wants credentials, and there are none ({named})"),
        )
        .with_remedy(login),
        StatusCode::FORBIDDEN if by.had_credentials => Failure::new(
            ErrorKind::Unauthorized,
            format!("`{registry}` does not allow it to this user ({named})"),
        )
        .with_remedy("use a repository that you have the rights to, or log in as another user"),
        StatusCode::FORBIDDEN => Failure::new(
            ErrorKind::Unauthorized,
            format!("`{registry}` does not allow it without credentials ({named})"),
        )
        .with_remedy(login),
        StatusCode::NOT_FOUND => {
            Failure::new(ErrorKind::NotFound, format!("`{registry}` does not have it ({named})"))
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            Failure::new(ErrorKind::Unsupported, format!("`{registry}` does not do that ({named})"))
                .with_remedy("push to a registry that takes images; a mirror or a cache does not")
        }
        StatusCode::CONFLICT => Failure::new(
            ErrorKind::Conflict,
            format!("`{registry}` has something else there already ({named})"),
        )
        .with_remedy("use another tag"),
        StatusCode::PAYLOAD_TOO_LARGE => Failure::new(
            ErrorKind::Exhausted,
            format!("`{registry}`, or a proxy before it, takes no request that large ({named})"),
        )
        .with_remedy("raise the limit there, such as `client_max_body_size` in nginx"),
        StatusCode::TOO_MANY_REQUESTS => Failure::new(
            ErrorKind::Exhausted,
            format!("`{registry}` has had too many requests from here ({named})"),
        )
        .with_remedy(format!("wait, or {login}, which mostly raises the limit")),
        status if status.is_server_error() => Failure::new(
            ErrorKind::Unavailable,
            format!("`{registry}` has trouble of its own ({named})"),
        ),
        _ => Failure::protocol(format!("`{registry}` answered `{named}`")),
    };
    let failure = match (retry_after, is_transient(status)) {
        (Some(pause), true) => failure
            .with_retry(Retry::After(pause))
            .with_fact("asks to wait", format!("{} seconds", pause.as_secs())),
        (None, true) => failure.with_retry(Retry::Soon),
        (_, false) => failure,
    };
    failure.with_status(status)
}

fn is_transient(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

// SPEC: OCI distribution 1.1, "Error Codes": `{"errors": [{"code": …, "message": …, "detail": …}]}`.
fn detail(text: &[u8]) -> Option<String> {
    let errors: Errors = serde_json::from_slice(text).ok()?;
    let mut words = String::new();
    for error in errors.errors.iter().take(3) {
        let separator = if words.is_empty() { "" } else { "; " };
        // Writing to a string cannot fail.
        let _ = write!(words, "{separator}{}: {}", error.code, error.message);
    }
    let plain: String = words.chars().filter(|c| !c.is_control()).take(300).collect();
    (!plain.is_empty()).then_some(plain)
}

/// Returns whether an answer is an HTML page.
pub(crate) fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// Returns the pause that a registry asks for.
// SPEC: RFC 9110, 10.2.3: a number of seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = super::date::parse(value)?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Reads all of an answer, if it has at most `limit` bytes and is never silent for longer than `silence`.
pub(crate) async fn read_bytes(
    mut answer: Response,
    limit: usize,
    silence: Duration,
) -> Outcome<Bytes> {
    let url = answer.url().clone();
    let host = authority(&url);
    let too_long = || Failure::protocol(format!("`{host}` answered with more than {limit} bytes"));
    if answer.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    loop {
        let chunk = tokio::time::timeout(silence, answer.chunk()).await;
        let chunk = chunk.map_err(|_| timed_out(&url, silence))?;
        let Some(chunk) = chunk.map_err(|error| failure_of(&error, &url))? else {
            return Ok(bytes.into());
        };
        if bytes.len() + chunk.len() > limit {
            return Err(too_long());
        }
        bytes.extend_from_slice(&chunk);
    }
}
