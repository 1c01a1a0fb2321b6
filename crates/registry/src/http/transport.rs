//! Sends requests: one HTTP client for each host that has settings of its own, one for all others.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boxwright_core::{DOCKER_HUB, ErrorKind, Host, RegistrySetting, RegistrySettings};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, Url};

use super::certificates::Certificates;
use super::network::{Resolver, is_link_local, proxies};
use super::request::{Body, Request};
use super::tls::{SystemAuthorities, Verification, config};
use super::trouble::{failure_of, timed_out};
use crate::failure::{Failure, Outcome};
use crate::retries::Retries;

/// How many redirects are followed. Real registries have one or two.
const REDIRECTS: usize = 5;

/// Sends requests to any host, as the user's settings for that host say.
pub(crate) struct Transport {
    host: Host,
    settings: Arc<RegistrySettings>,
    system: SystemAuthorities,
    /// How long a server may be silent.
    silence: Duration,
    /// How long connecting may take, with the TLS handshake.
    connecting: Duration,
    /// Whether plain HTTP is spoken with every host that an address names.
    any_plain: bool,
    clients: Mutex<HashMap<String, Client>>,
}

impl Transport {
    pub(crate) fn new(host: Host, settings: Arc<RegistrySettings>, retries: &Retries) -> Self {
        let (system, clients) = (SystemAuthorities::default(), Mutex::default());
        let (silence, connecting) = (retries.longest_silence, retries.longest_connecting);
        Self { host, settings, system, silence, connecting, any_plain: false, clients }
    }

    /// Returns the transport for files of the web, whose addresses say themselves that they are not encrypted.
    pub(crate) fn for_any_file(self) -> Self {
        Self { any_plain: true, ..self }
    }

    /// Returns how long a server may be silent.
    pub(crate) fn silence(&self) -> Duration {
        self.silence
    }

    /// Returns what is set for the host of a URL or of a registry.
    pub(crate) fn setting(&self, authority: &str) -> Option<&RegistrySetting> {
        let hub = (authority == "registry-1.docker.io").then_some(DOCKER_HUB);
        self.settings.get(authority).or_else(|| self.settings.get(hub?))
    }

    /// Returns whether plain HTTP may be spoken with the host of `url`.
    pub(crate) fn may_be_plain(&self, url: &Url) -> bool {
        let setting = self.setting(&authority(url));
        match setting.and_then(|setting| setting.plain_http) {
            Some(answer) => answer,
            None => is_loopback(url) || setting.is_some_and(|setting| setting.insecure),
        }
    }

    /// Sends `request` and returns the answer, whatever its status. `GET` and `HEAD` follow redirects;
    /// `authorization` goes to the host of the request and to no other.
    pub(crate) async fn send(
        &self,
        request: &Request,
        body: Body,
        authorization: Option<&HeaderValue>,
    ) -> Outcome<Response> {
        let follows = matches!(request.method, Method::GET | Method::HEAD);
        let mut url = request.url.clone();
        let mut body = Some(body);
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            let client = self.client_for(&url)?;
            let mut builder = client
                .request(request.method.clone(), url.clone())
                .headers(request.headers.clone());
            if let Some(authorization) = authorization
                && is_same_origin(&url, &request.url)
            {
                builder = builder.header(AUTHORIZATION, authorization.clone());
            }
            let answer = match body.take().unwrap_or(Body::Own) {
                Body::Stream(stream, length) => {
                    if let Some(length) = length {
                        builder = builder.header(CONTENT_LENGTH, length);
                    }
                    // Its own end is watched by whoever feeds it.
                    builder.body(stream).send().await
                }
                Body::Own => {
                    let sending = builder.body(request.body.clone()).send();
                    match tokio::time::timeout(self.silence, sending).await {
                        Ok(answer) => answer,
                        Err(_) => return Err(timed_out(&url, self.silence)),
                    }
                }
            };
            let answer = answer.map_err(|error| failure_of(&error, &url))?;
            if !(follows
                && answer.status().is_redirection()
                && answer.headers().contains_key(LOCATION))
            {
                return Ok(answer);
            }
            let next = location(&answer)?;
            self.check_redirect(&url, &next)?;
            url = next;
        }
        let host = authority(&request.url);
        Err(Failure::protocol(format!("`{host}` redirected more than {REDIRECTS} times")))
    }

    /// Refuses what no request is sent to.
    pub(crate) fn check(&self, url: &Url) -> Outcome<()> {
        let authority = authority(url);
        match url.scheme() {
            "https" => {}
            "http" if self.any_plain || self.may_be_plain(url) => {}
            "http" => {
                return Err(Failure::new(
                    ErrorKind::Unavailable,
                    format!("`{authority}` is to be spoken with over plain HTTP, which is not allowed"),
                )
                .with_remedy(format!(
                    "set `plain-http = true` in `[registry.\"{authority}\"]` in your settings if that is meant"
                )));
            }
            scheme => {
                return Err(Failure::protocol(format!(
                    "`{scheme}` is not the scheme of a registry"
                )));
            }
        }
        if address_of(url).is_some_and(is_link_local) && self.setting(&authority).is_none() {
            return Err(Failure::new(
                ErrorKind::InvalidInput,
                format!("`{authority}` is a link-local address"),
            )
            .with_remedy(format!(
                "add the table `[registry.\"{authority}\"]` to your settings if it is a registry"
            )));
        }
        Ok(())
    }

    /// Refuses to be sent from one place to a worse one.
    pub(crate) fn check_redirect(&self, from: &Url, to: &Url) -> Outcome<()> {
        if to.scheme() == "http"
            && (from.scheme() == "https" || is_loopback(to) && !is_loopback(from))
        {
            let (from, to) = (authority(from), authority(to));
            return Err(Failure::protocol(format!("`{from}` redirected to plain HTTP at `{to}`")));
        }
        self.check(to)
    }

    fn client_for(&self, url: &Url) -> Outcome<Client> {
        let authority = authority(url);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&authority) {
            return Ok(client.clone());
        }
        let client = self.make_client(&authority)?;
        clients.insert(authority, client.clone());
        Ok(client)
    }

    fn make_client(&self, authority: &str) -> Outcome<Client> {
        let setting = self.setting(authority);
        let certificates = Certificates::read(&self.host, authority, setting)?;
        let verification = match setting {
            Some(setting) if setting.insecure => Verification::Off,
            _ => Verification::On,
        };
        let tls = config(&self.host, &self.system, authority, certificates, verification)?;
        // Redirects are followed above, where credentials are looked after. HTTP/1.1, because parallel
        // transfers then have connections and windows of their own.
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .referer(false)
            .http1_only()
            .no_proxy()
            .dns_resolver(Arc::new(Resolver))
            .connect_timeout(self.connecting)
            .pool_idle_timeout(Duration::from_secs(20))
            .user_agent(concat!("boxwright/", env!("CARGO_PKG_VERSION")));
        for proxy in proxies(&self.host)? {
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|error| {
            Failure::new(ErrorKind::Bug, "the HTTP client cannot be made").with_detail(error)
        })
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Returns where an answer points to, seen from its own address.
fn location(answer: &Response) -> Outcome<Url> {
    let host = authority(answer.url());
    let text = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    text.and_then(|text| answer.url().join(text).ok()).ok_or_else(|| {
        Failure::protocol(format!("`{host}` redirected to something unintelligible"))
    })
}

/// Returns the host of a URL, with its port if it is not the scheme's own.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Returns whether two URLs have scheme, host, and port in common.
pub(crate) fn is_same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// Returns whether a URL's host is this machine, by its name or its address alone.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host == "localhost" || host.ends_with(".localhost"))
        || address_of(url).is_some_and(|address| address.to_canonical().is_loopback())
}

fn address_of(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
