//! Names to addresses, and proxies from the environment.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use boxwright_core::{Error, ErrorKind, Host, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{NoProxy, Proxy};

/// Resolves names as the system does, but never to a link-local address, where clouds have their
/// metadata service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver;

/// A name has no address, or none that may be used.
#[derive(Debug)]
pub(super) struct NameError {
    pub(super) name: String,
    pub(super) cause: String,
    pub(super) is_refused: bool,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot find the address of `{}`: {}", self.name, self.cause)
    }
}

impl std::error::Error for NameError {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let wrong =
                |cause: String, is_refused| NameError { name: name.clone(), cause, is_refused };
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<SocketAddr> =
                found.map_err(|error| wrong(error.to_string(), false))?.collect();
            let (refused, found): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|address| is_link_local(address.ip()));
            if found.is_empty() && !refused.is_empty() {
                return Err(wrong("it is a link-local address".into(), true).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Returns whether an address is only for this link, or stands for "no address".
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_link_local(IpAddr::V4(address)),
            None => address.is_unicast_link_local() || address.is_unspecified(),
        },
    }
}

/// Returns the proxies of the environment: for https, then for http.
///
/// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case; the lower case
/// wins, as in curl. Loopback addresses are never reached through a proxy, as in Docker and Podman.
pub(super) fn proxies(host: &Host) -> Result<Vec<Proxy>> {
    let variable =
        |name: &str| host.variable(&name.to_ascii_lowercase()).or_else(|| host.variable(name));
    let direct = format!("localhost,127.0.0.0/8,::1,{}", variable("NO_PROXY").unwrap_or_default());
    let mut proxies = Vec::new();
    type Make = fn(&str) -> reqwest::Result<Proxy>;
    let kinds: [(&str, Make); 3] = [
        ("HTTPS_PROXY", |address| Proxy::https(address)),
        ("HTTP_PROXY", |address| Proxy::http(address)),
        ("ALL_PROXY", |address| Proxy::all(address)),
    ];
    for (name, make) in kinds {
        let Some(address) = variable(name) else { continue };
        // The address may have a password in it, so it is not repeated.
        let proxy = make(address).map_err(|_| {
            Error::new(ErrorKind::InvalidInput, format!("the variable `{name}` is not an address"))
                .with_remedy(format!(
                    "set `{name}` to the proxy's address, such as `http://proxy.example:3128`"
                ))
        })?;
        proxies.push(proxy.no_proxy(NoProxy::from_string(&direct)));
    }
    Ok(proxies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_metadata_services_are_link_local_threat_35() {
        for address in ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "0.0.0.0", "::"] {
            assert!(is_link_local(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "140.82.121.33"] {
            assert!(!is_link_local(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_proxy_that_is_no_address_is_named_without_its_text() {
        let host = Host::with_variables("/", [("HTTPS_PROXY", "http://user:canary@[")]);
        let error = proxies(&host).unwrap_err();
        assert_eq!(error.to_string(), "the variable `HTTPS_PROXY` is not an address");
        assert!(!format!("{error:?}").contains("canary"));
    }
}
