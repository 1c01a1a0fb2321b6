//! One request, which can be sent again.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use crate::failure::{Failure, Outcome};

/// One request to a registry, without its authorization.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is sent with a request.
#[derive(Debug)]
pub(crate) enum Body {
    /// The bytes of the request itself.
    Own,
    /// A stream, which cannot be sent again, and its length where that is known.
    Stream(reqwest::Body, Option<u64>),
}

impl Request {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Outcome<Self> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Failure::protocol(format!("`{name}` would have a line break in it")))?;
        self.headers.append(name, value);
        Ok(self)
    }

    pub(crate) fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}
