//! One registry: its address, what it asks for, and the tokens it gave.

mod authorization;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boxwright_core::{Credential, Credentials, DOCKER_HUB, ErrorKind, EventSink};
use bytes::Bytes;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use crate::auth::{Access, Challenge, Token};
use crate::failure::{Failure, Outcome};
use crate::http::{Body, Request, Transport, is_html, read_bytes};
use crate::resolve::digest_of;
use crate::retries::Retries;

/// How long finding out whether a loopback port speaks TLS may take.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// One registry: its address, what it asks for, and the tokens it gave. Clones share all of it but where it is
/// reported that the registry is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    state: Arc<State>,
    events: EventSink,
}

#[derive(Debug)]
struct State {
    name: String,
    transport: Arc<Transport>,
    credentials: Arc<dyn Credentials>,
    retries: Retries,
    base: OnceCell<Url>,
    challenge: Mutex<Option<Challenge>>,
    tokens: AsyncMutex<HashMap<BTreeSet<String>, Token>>,
    // Helpers are slow, so each is asked once.
    known: AsyncMutex<HashMap<Option<String>, Option<Credential>>>,
    /// Whether it was reported that the registry is waited for.
    is_waited_for: AtomicBool,
}

impl Endpoint {
    pub(crate) fn new(
        name: &str,
        transport: Arc<Transport>,
        credentials: Arc<dyn Credentials>,
        retries: Retries,
    ) -> Self {
        let state = State {
            name: name.to_owned(),
            transport,
            credentials,
            retries,
            base: OnceCell::new(),
            challenge: Mutex::default(),
            tokens: AsyncMutex::default(),
            known: AsyncMutex::default(),
            is_waited_for: AtomicBool::new(false),
        };
        Self { state: Arc::new(state), events: EventSink::discard() }
    }

    /// Returns the registry with that it is waited for reported to `events`.
    pub(crate) fn with_events(self, events: EventSink) -> Self {
        Self { events, ..self }
    }

    /// Returns the registry's host, as the user calls it.
    pub(crate) fn name(&self) -> &str {
        &self.state.name
    }

    pub(crate) fn retries(&self) -> Retries {
        self.state.retries
    }

    /// Returns the address of `path` below `/v2/`.
    pub(crate) async fn url(&self, path: &str) -> Outcome<Url> {
        let base = self.base().await?;
        base.join(&format!("/v2/{path}")).map_err(|_| {
            Failure::new(ErrorKind::Bug, format!("`{path}` is not a path of a registry"))
        })
    }

    /// Sends `request` as often as is worth it, and returns the answer if it is a success.
    pub(crate) async fn call(
        &self,
        access: Option<&Access>,
        request: &Request,
    ) -> Outcome<Response> {
        let mut attempt = 1;
        loop {
            let failure = match self.call_once(access, request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let Some(pause) = self.state.retries.pause(attempt, failure.retry) else {
                return Err(match attempt {
                    1 => failure,
                    _ => failure.with_fact("attempts", attempt.to_string()),
                });
            };
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// Sends `request`, and reads the whole of the answer if it is a success; both as often as is worth it.
    pub(crate) async fn read(
        &self,
        access: &Access,
        request: &Request,
        limit: usize,
    ) -> Outcome<(HeaderMap, Bytes)> {
        let mut attempt = 1;
        loop {
            let answer = self.call(Some(access), request).await?;
            let headers = answer.headers().clone();
            let failure = match read_bytes(answer, limit, self.state.transport.silence()).await {
                Ok(bytes) => return Ok((headers, bytes)),
                Err(failure) => failure,
            };
            let pause = self.state.retries.pause(attempt, failure.retry);
            tokio::time::sleep(pause.ok_or(failure)?).await;
            attempt += 1;
        }
    }

    /// Refuses to be sent from one address to a worse one, such as to plain HTTP.
    pub(crate) fn check_next(&self, from: &Url, to: &Url) -> Outcome<()> {
        self.state.transport.check_redirect(from, to)
    }

    /// Sends `request`, authorized as the registry wants it, and returns the answer if it is a success.
    pub(crate) async fn call_once(
        &self,
        access: Option<&Access>,
        request: &Request,
    ) -> Outcome<Response> {
        let mut sent = self.prepared(access, &request.url).await?;
        loop {
            let asked = self.state.transport.send(request, Body::Own, sent.header.as_ref());
            let answer = self.waiting(asked).await?;
            if answer.status().is_success() {
                return self.written(request, answer);
            }
            let retried = self.better(access, &request.url, &answer, &sent).await?;
            let Some(next) = retried else { return Err(self.refused(answer, &sent).await) };
            sent = next;
        }
    }

    /// Sends `request` with a stream, once. When that fails for want of a valid token, the token is
    /// forgotten, so that the next request gets another one.
    pub(crate) async fn send_stream(
        &self,
        access: &Access,
        request: &Request,
        stream: reqwest::Body,
        length: Option<u64>,
    ) -> Outcome<Response> {
        let sent = self.prepared(Some(access), &request.url).await?;
        let body = Body::Stream(stream, length);
        let answer = self.state.transport.send(request, body, sent.header.as_ref()).await?;
        if answer.status().is_success() {
            return self.written(request, answer);
        }
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.state.tokens.lock().await.remove(&access.scopes());
        }
        Err(self.refused(answer, &sent).await)
    }

    /// Asks the registry whether it is one, and whether it accepts the credentials.
    pub(crate) async fn ping(&self) -> Outcome<()> {
        let request = Request::new(Method::GET, self.url("").await?);
        let answer = self.call(None, &request).await?;
        if is_html(answer.headers()) {
            return Err(Failure::protocol(format!(
                "`{}` is a web site and not a registry",
                self.state.name
            ))
            .with_remedy("name the registry's own host, such as `ghcr.io` for GitHub"));
        }
        Ok(())
    }

    /// Refuses a page in the answer to what writes: nothing was written. What registries answer then has another status,
    /// or says where; some of them call that HTML too. What is read shows by itself what it is.
    fn written(&self, request: &Request, answer: Response) -> Outcome<Response> {
        let writes = [Method::POST, Method::PUT, Method::PATCH].contains(&request.method);
        let is_page = answer.status() == StatusCode::OK
            && is_html(answer.headers())
            && !answer.headers().contains_key(LOCATION)
            && digest_of(answer.headers()).is_none();
        if writes && is_page {
            return Err(Failure::protocol(format!(
                "`{}` answered with an HTML page, as no registry does",
                self.state.name
            ))
            .with_remedy(format!(
                "check that `{}` is a registry and not a proxy",
                self.state.name
            )));
        }
        Ok(answer)
    }

    /// Waits for an answer, and reports it once if that takes long.
    async fn waiting<T>(&self, asked: impl Future<Output = T> + Send) -> T {
        let mut asked = std::pin::pin!(asked);
        let patience = self.state.retries.quiet_wait;
        if let Ok(answer) = tokio::time::timeout(patience, &mut asked).await {
            self.state.is_waited_for.store(false, Ordering::Relaxed);
            return answer;
        }
        if !self.state.is_waited_for.swap(true, Ordering::Relaxed) {
            self.events.notice(format!("waiting for `{}` to answer", self.state.name)).await;
        }
        asked.await
    }

    async fn base(&self) -> Outcome<&Url> {
        self.state.base.get_or_try_init(|| self.find_base()).await
    }

    // Plain HTTP is tried only where it is allowed, and only when the other side speaks no TLS.
    async fn find_base(&self) -> Outcome<Url> {
        let host =
            if self.state.name == DOCKER_HUB { "registry-1.docker.io" } else { &self.state.name };
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/")).map_err(|_| {
                Failure::new(
                    ErrorKind::InvalidInput,
                    format!("`{host}` is not the host of a registry"),
                )
            })
        };
        let (https, http) = (parse("https")?, parse("http")?);
        let setting = self.state.transport.setting(&self.state.name);
        let may_be_plain = self.state.transport.may_be_plain(&http);
        let is_fixed = setting.is_some_and(|setting| setting.plain_http.is_some());
        match (may_be_plain, is_fixed) {
            (false, _) => return Ok(https),
            (true, true) => return Ok(http),
            (true, false) => {}
        }
        let request =
            Request::new(Method::GET, https.join("/v2/").unwrap_or_else(|_| https.clone()));
        let asked = self.state.transport.send(&request, Body::Own, None);
        match self.waiting(tokio::time::timeout(PROBE_LIMIT, asked)).await {
            Ok(Ok(answer)) => {
                self.remember(answer.headers());
                Ok(https)
            }
            Ok(Err(failure)) if failure.is_not_tls => Ok(http),
            // Without a port, https and http are two ports, and one of them may be closed.
            Ok(Err(failure))
                if https.port().is_none() && failure.kind() == ErrorKind::Unavailable =>
            {
                Ok(http)
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Ok(http),
        }
    }
}
