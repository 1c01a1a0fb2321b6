//! Answers, in the form that registries give them.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

pub(super) type Reply = Response<Full<Bytes>>;

/// Why a request gets no answer at all.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut on order")
    }
}

impl std::error::Error for Cut {}

pub(super) fn empty(status: StatusCode) -> Reply {
    with_body(status, Bytes::new())
}

pub(super) fn with_body(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply
}

/// SPEC: OCI distribution specification 1.1, "Error Codes".
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
    with_type(with_body(status, body.to_string()), "application/json")
}

pub(super) fn with_type(reply: Reply, media_type: &str) -> Reply {
    with_header(reply, header::CONTENT_TYPE, media_type)
}

pub(super) fn with_header(mut reply: Reply, name: header::HeaderName, value: &str) -> Reply {
    // Every value is written by this module or came in as a header.
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
    reply
}
