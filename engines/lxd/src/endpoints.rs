//! Where a server may listen: settings, environment, usual sockets, remotes.

use std::path::PathBuf;

use boxwright_core::{Error, ErrorKind, Host, Result};
use boxwright_http::Endpoint;

use crate::config::LxdConfig;
use crate::remotes::{self, Remotes};

/// The sockets that LXD and Incus have by default: LXD as a snap, as Debian packages it, Incus, and Incus since 6.10.
const SOCKETS: &[(&str, &str)] = &[
    ("/var/snap/lxd/common/lxd/unix.socket", "the snap's socket"),
    ("/var/lib/lxd/unix.socket", "LXD's socket"),
    ("/run/incus/unix.socket", "Incus's socket"),
    ("/var/lib/incus/unix.socket", "Incus's socket"),
];

/// Variables that name the socket, or the folder that it is in.
const VARIABLES: &[(&str, bool)] =
    &[("LXD_SOCKET", true), ("LXD_DIR", false), ("INCUS_SOCKET", true), ("INCUS_DIR", false)];

/// A place to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) endpoint: Endpoint,
    /// What named it, e.g. `LXD_DIR`.
    pub(crate) source: String,
    /// The project of a remote.
    pub(crate) project: Option<String>,
}

/// Where to look.
#[derive(Debug)]
pub(crate) enum Places {
    /// At one place, which the user named.
    Named(Place),
    /// At all of these.
    Usual(Vec<Place>),
}

/// Returns where to look for a server.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when what the user named is no endpoint or remote, with what named it as context.
pub(crate) fn places(host: &Host, config: &LxdConfig) -> Result<Places> {
    let place =
        |endpoint, source: &str| Place { endpoint, source: source.to_owned(), project: None };
    if let Some(text) = &config.host {
        let source = "setting `engine.lxd.host`";
        let endpoint = named(text, host).map_err(|error| error.with_context("set by", source))?;
        return Ok(Places::Named(place(endpoint, source)));
    }
    if let Some(name) = &config.remote {
        return remote(name, &remotes::read(host)?).map(Places::Named);
    }
    for (variable, is_socket) in VARIABLES {
        if let Some(path) = host.path_variable(variable) {
            let path = if *is_socket { path } else { path.join("unix.socket") };
            return Ok(Places::Named(place(Endpoint::unix(host.absolute(&path)), variable)));
        }
    }
    let sockets = SOCKETS.iter().map(|(path, source)| place(Endpoint::unix(*path), source));
    let mut found: Vec<Place> = sockets.collect();
    for known in remotes::read(host)? {
        if let Some(name) = &known.default
            && let Some(remote) = known.by_name.get(name)
        {
            found.push(Place {
                endpoint: remote.endpoint.clone(),
                source: format!("default remote `{name}` of `{}`", known.program),
                project: remote.project.clone(),
            });
        }
    }
    Ok(Places::Usual(without_duplicates(found)))
}

/// Reads the setting `host`. A server with TLS is shown the certificate that `lxc` has, if a remote is there.
fn named(text: &str, host: &Host) -> Result<Endpoint> {
    let endpoint: Endpoint = text.parse()?;
    match &endpoint {
        Endpoint::Unix { .. } => Ok(endpoint),
        Endpoint::Tls { .. } => {
            let known = remotes::read(host)?;
            let mut all = known.iter().flat_map(|known| known.by_name.values());
            let same = all.find(|remote| remote.endpoint.to_string() == endpoint.to_string());
            Ok(same.map_or(endpoint, |remote| remote.endpoint.clone()))
        }
        Endpoint::Tcp { .. } | Endpoint::Ssh { .. } => {
            let message = format!("`{text}` is no endpoint of LXD");
            Err(Error::new(ErrorKind::InvalidInput, message)
                .with_cause("LXD listens on a socket file, and with TLS on a port")
                .with_remedy("write it as `unix:///PATH` or `https://HOST:8443`"))
        }
    }
}

fn remote(name: &str, known: &[Remotes]) -> Result<Place> {
    let found = known.iter().find_map(|known| Some((known.program, known.by_name.get(name)?)));
    if let Some((program, remote)) = found {
        return Ok(Place {
            endpoint: remote.endpoint.clone(),
            source: format!("remote `{name}` of `{program}`"),
            project: remote.project.clone(),
        });
    }
    let names = known.iter().flat_map(|known| known.by_name.keys());
    let names: Vec<&str> = names.map(String::as_str).collect();
    let error = Error::new(ErrorKind::InvalidInput, format!("there is no remote `{name}`"))
        .with_context("set by", "setting `engine.lxd.remote`");
    Err(match boxwright_core::nearest(name, &names) {
        Some(near) => error.with_remedy(format!("use `{near}`")),
        None => error.with_remedy("see `lxc remote list` or `incus remote list` for what there is"),
    })
}

/// Drops places that lead to a socket which an earlier one leads to, through links.
fn without_duplicates(places: Vec<Place>) -> Vec<Place> {
    let mut seen = std::collections::BTreeSet::new();
    let key = |place: &Place| match &place.endpoint {
        Endpoint::Unix { path } => path.canonicalize().unwrap_or_else(|_| path.clone()),
        other => PathBuf::from(other.to_string()),
    };
    places.into_iter().filter(|place| seen.insert(key(place))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(variables: &[(&str, &str)]) -> Host {
        Host::with_variables("/work", variables.iter().copied())
    }

    fn found(host: &Host, config: &LxdConfig) -> Place {
        let Places::Named(place) = places(host, config).unwrap() else { panic!("not named") };
        place
    }

    #[test]
    fn what_the_user_names_is_the_only_place() {
        let host = host(&[("LXD_DIR", "/own"), ("INCUS_DIR", "/other")]);
        let place = found(&host, &LxdConfig::default());
        assert_eq!(place.endpoint.to_string(), "unix:///own/unix.socket");
        assert_eq!(place.source, "LXD_DIR");
        let config = LxdConfig { host: Some("unix:///set".into()), ..LxdConfig::default() };
        assert_eq!(found(&host, &config).endpoint.to_string(), "unix:///set");
    }

    #[test]
    fn plain_tcp_is_refused_threat_38() {
        let config = LxdConfig { host: Some("tcp://h:8443".into()), ..LxdConfig::default() };
        let error = places(&host(&[]), &config).unwrap_err();
        assert_eq!(error.to_string(), "`tcp://h:8443` is no endpoint of LXD");
        assert_eq!(error.context()[0].1, "setting `engine.lxd.host`");
    }

    #[test]
    fn an_unknown_remote_names_the_nearest_one() {
        let folder = tempfile::tempdir().unwrap();
        let text = "remotes:\n  build:\n    addr: https://build.example:8443\n    project: ci\n";
        std::fs::write(folder.path().join("config.yml"), text).unwrap();
        let host = Host::with_variables("/", [("INCUS_CONF", folder.path())]);
        let set = |name: &str| LxdConfig { remote: Some(name.into()), ..LxdConfig::default() };
        let place = found(&host, &set("build"));
        assert_eq!(place.source, "remote `build` of `incus`");
        assert_eq!(place.project.as_deref(), Some("ci"));
        let error = places(&host, &set("biuld")).unwrap_err();
        assert_eq!(error.remedy(), Some("use `build`"));
    }

    #[test]
    fn every_usual_socket_is_looked_at() {
        let Places::Usual(found) = places(&host(&[]), &LxdConfig::default()).unwrap() else {
            panic!("named")
        };
        assert_eq!(found.len(), SOCKETS.len());
    }
}
