//! The few requests that a worker's container takes. Source: Docker Engine API 1.40; Podman answers them too.

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_http::http::{Method, Request, StatusCode};
use boxwright_http::{Body, Client, Connection};
use serde_json::Value;

/// The most bytes of an answer.
const ANSWER: usize = 4 << 20;

/// Sends requests to the engine.
#[derive(Clone, Debug)]
pub(crate) struct Api(pub(crate) Client);

impl Api {
    /// Returns what `path` has, or `None` when it is not there.
    pub(crate) async fn find(&self, path: &str, what: &str) -> Result<Option<Value>> {
        match self.ask(Method::GET, path, Body::empty(), None, what).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Posts `value` to `path`, and returns the answer.
    pub(crate) async fn post(&self, path: &str, value: &Value, what: &str) -> Result<Value> {
        let body = Body::json(value)?;
        self.ask(Method::POST, path, body, Some("application/json"), what).await
    }

    /// Deletes what is at `path`. What is gone already, or goes just then, is no error.
    pub(crate) async fn remove(&self, path: &str, what: &str) -> Result<()> {
        match self.ask(Method::DELETE, path, Body::empty(), None, what).await {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Loads an archive of images.
    pub(crate) async fn load(&self, archive: Vec<u8>, what: &str) -> Result<()> {
        let (path, kind) = ("/images/load?quiet=true", Some("application/x-tar"));
        self.ask(Method::POST, path, Body::bytes(archive), kind, what).await.map(|_| ())
    }

    /// Starts the exec session `id`, and returns the stream to it.
    pub(crate) async fn session(&self, id: &str) -> Result<Connection> {
        let request = Request::post(format!("/exec/{id}/start"))
            .header("Content-Type", "application/json")
            .body(Body::json(&serde_json::json!({ "Detach": false, "Tty": false }))?)
            .map_err(bug)?;
        self.0.upgrade(request, "tcp").await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Body,
        content_type: Option<&str>,
        what: &str,
    ) -> Result<Value> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        let answer = self.0.request(request.body(body).map_err(bug)?).await?;
        let status = answer.status();
        let bytes = boxwright_http::read_to_end(answer.into_body(), ANSWER).await?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        let text = String::from_utf8_lossy(&bytes);
        let words = value["message"].as_str().unwrap_or(&text);
        let kind = match status {
            StatusCode::NOT_FOUND => ErrorKind::NotFound,
            StatusCode::CONFLICT => ErrorKind::Conflict,
            // Podman 4.3 tells a name that is taken as an error of its own, with the status 500.
            _ if words.contains("is already in use") => ErrorKind::Conflict,
            _ => ErrorKind::Unavailable,
        };
        Err(Error::new(kind, format!("cannot {what}"))
            .with_cause(words.trim())
            .with_context("status", status.as_str()))
    }
}

fn bug(error: boxwright_http::http::Error) -> Error {
    Error::new(ErrorKind::Bug, "cannot form a request to the engine").with_source(error)
}
