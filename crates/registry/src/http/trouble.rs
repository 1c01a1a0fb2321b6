//! What a connection failed of, in words, with a remedy.

use std::io;
use std::time::Duration;

use boxwright_core::{Error, ErrorKind};
use reqwest::Url;
use rustls::CertificateError;

use super::network::NameError;
use super::transport::authority;
use crate::failure::{Failure, Retry, find};

/// Says why a request got no answer.
pub(super) fn failure_of(error: &reqwest::Error, url: &Url) -> Failure {
    let mut failure = words_of(error, url);
    failure.is_not_tls = url.scheme() == "https" && is_not_tls(error);
    if failure.is_not_tls && failure.why.remedy().is_none() {
        let host = authority(url);
        failure.why = Error::new(
            ErrorKind::Unavailable,
            format!("`{host}` hung up in the TLS handshake"),
        )
        .with_remedy(format!(
            "set `plain-http = true` in `[registry.\"{host}\"]` in your settings if plain HTTP is meant"
        ));
    }
    failure
}

fn words_of(error: &reqwest::Error, url: &Url) -> Failure {
    let host = authority(url);
    if let Some(error) = find::<NameError>(error) {
        return of_name(error);
    }
    if let Some(error) = find::<rustls::Error>(error) {
        return of_tls(error, &host);
    }
    if error.is_timeout() {
        return Failure::new(ErrorKind::Unavailable, format!("`{host}` did not answer in time"))
            .with_retry(Retry::Soon)
            .with_remedy("check the network, and the proxy in `HTTPS_PROXY` if there is one");
    }
    let io = find_io(error);
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            Failure::new(ErrorKind::Unavailable, format!("`{host}` refused the connection"))
                .with_remedy(format!("check that a registry listens at `{host}`"))
        }
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            Failure::new(ErrorKind::Unavailable, format!("`{host}` cannot be reached"))
                .with_remedy("check the network, and the proxy in `HTTPS_PROXY` if there is one")
        }
        _ => Failure::new(ErrorKind::Unavailable, format!("the connection to `{host}` broke"))
            .with_detail(innermost(error))
            .with_retry(Retry::Soon),
    }
}

/// Says that a server was silent for too long.
pub(super) fn timed_out(url: &Url, limit: Duration) -> Failure {
    let host = authority(url);
    Failure::new(
        ErrorKind::Unavailable,
        format!("`{host}` was silent for {} seconds", limit.as_secs_f32()),
    )
    .with_retry(Retry::Soon)
    .with_remedy(format!("check that the registry at `{host}` is well, or try again later"))
}

/// Returns whether the other side does not speak TLS at all.
fn is_not_tls(error: &reqwest::Error) -> bool {
    match find::<rustls::Error>(error) {
        Some(error) => matches!(error, rustls::Error::InvalidMessage(_)),
        // It hung up, or waits for a line to end, which a handshake has none of.
        None if error.is_connect() => {
            let kind = find_io(error).map(io::Error::kind);
            error.is_timeout()
                || matches!(
                    kind,
                    Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
                )
        }
        None => false,
    }
}

fn of_name(error: &NameError) -> Failure {
    let failure = Failure::new(ErrorKind::Unavailable, error.to_string());
    if error.is_refused {
        return failure;
    }
    failure.with_remedy(format!(
        "check the spelling of `{}`, and that names are resolved here",
        error.name
    ))
}

fn of_tls(error: &rustls::Error, host: &str) -> Failure {
    let table = format!("`[registry.\"{host}\"]`");
    let settings = "in your settings";
    let (cause, remedy) = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => (
            format!("the certificate of `{host}` comes from an authority that is not trusted here"),
            format!("set `ca = \"FILE.pem\"` in {table} {settings} to the authority's certificate"),
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            format!("the certificate of `{host}` is for another host"),
            "reach the registry by a name that its certificate has".to_owned(),
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => (
            format!("the certificate of `{host}` has expired"),
            "have the registry's certificate renewed, and check this machine's clock".to_owned(),
        ),
        rustls::Error::InvalidCertificate(_) => (
            format!("the certificate of `{host}` does not verify: {error}"),
            format!("set `ca = \"FILE.pem\"` in {table} {settings} to the authority's certificate"),
        ),
        rustls::Error::InvalidMessage(_) => (
            format!("`{host}` does not speak TLS"),
            format!("set `plain-http = true` in {table} {settings} if plain HTTP is meant"),
        ),
        rustls::Error::AlertReceived(alert) => (
            format!("`{host}` refused the TLS handshake: {alert:?}"),
            format!(
                "set `client-certificate` and `client-key` in {table} {settings} if it wants a certificate of yours"
            ),
        ),
        _ => {
            return Failure::new(
                ErrorKind::Unavailable,
                format!("the TLS connection to `{host}` broke"),
            )
            .with_detail(error.to_string())
            .with_retry(Retry::Soon);
        }
    };
    Failure::new(ErrorKind::Unavailable, cause).with_remedy(remedy)
}

/// Finds the innermost `io::Error`: those around it know no kind.
fn find_io<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e io::Error> {
    let found = find::<io::Error>(error)?;
    let held = found.get_ref().and_then(|held| find_io(held));
    held.or(Some(found))
}

/// Returns the words of the innermost error, which has no address in it.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(next) = error.source() {
        error = next;
    }
    error.to_string()
}
