//! Where a daemon may listen: what the user named, else the usual sockets.

use std::path::PathBuf;

use boxwright_core::{Error, ErrorKind, Host, Result};
use boxwright_http::Endpoint;

use crate::config::DockerConfig;
use crate::contexts::{self, TlsFiles};

/// One place to ask.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The place for people, whether or not it is an endpoint.
    pub(crate) place: String,
    /// What named it, e.g. `DOCKER_HOST`.
    pub(crate) source: String,
    /// The endpoint, or why there is none.
    pub(crate) endpoint: Result<Endpoint>,
    /// Whether the user named it. Nothing else is tried then, and its absence is a fault.
    pub(crate) named: bool,
}

impl Candidate {
    /// What the user wrote is no place: it may hold a password.
    fn named(source: impl Into<String>, endpoint: Result<Endpoint>) -> Self {
        let source = source.into();
        let endpoint = endpoint.map_err(|error| error.with_context("set by", source.clone()));
        let place = endpoint.as_ref().map_or_else(|_| source.clone(), ToString::to_string);
        Self { place, source, endpoint, named: true }
    }
}

/// Returns the places where a daemon may be. If the user named an endpoint, it is the only one.
pub(crate) fn candidates(host: &Host, config: &DockerConfig) -> Vec<Candidate> {
    if let Some(named) = named(host, config) {
        return vec![named];
    }
    let mut candidates = usual(host);
    let folder = contexts::settings_folder(host);
    if let Some(Err(error)) = folder.map(|folder| contexts::current(&folder)) {
        // Docker's own client warns and goes on; so does a survey of all places.
        let place = "the current Docker context".to_owned();
        let source = "config.json".to_owned();
        candidates.push(Candidate { place, source, endpoint: Err(error), named: true });
    }
    candidates
}

/// Returns the endpoint that the user named, if any: setting, `DOCKER_HOST`, `DOCKER_CONTEXT`, current context.
fn named(host: &Host, config: &DockerConfig) -> Option<Candidate> {
    let checked = |text: &str| {
        let tls = wants_tls(host).then(|| tls_files(host)).transpose();
        tls.and_then(|tls| parse(text, tls)).and_then(|endpoint| allowed(endpoint, config))
    };
    if let Some(text) = &config.host {
        return Some(Candidate::named("the setting `engine.docker.host`", checked(text)));
    }
    if let Some(text) = host.variable("DOCKER_HOST") {
        return Some(Candidate::named("DOCKER_HOST", checked(text)));
    }
    let folder = contexts::settings_folder(host)?;
    let (name, origin) = match host.variable("DOCKER_CONTEXT") {
        Some(contexts::DEFAULT) => return None,
        Some(name) => (name.to_owned(), "DOCKER_CONTEXT"),
        None => (contexts::current(&folder).ok().flatten()?, "the current Docker context"),
    };
    let found = contexts::endpoint(&folder, &name);
    let found = found.and_then(|endpoint| allowed(endpoint, config));
    Some(Candidate::named(format!("{origin} `{name}`"), found))
}

/// Returns the sockets that Docker, rootless Docker, Docker Desktop and Colima make.
fn usual(host: &Host) -> Vec<Candidate> {
    let home = host.home();
    let at_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let sockets = [
        (Some(PathBuf::from("/var/run/docker.sock")), "default socket"),
        (host.runtime_folder().map(|folder| folder.join("docker.sock")), "rootless socket"),
        (at_home(".docker/run/docker.sock"), "Docker Desktop"),
        (at_home(".docker/desktop/docker.sock"), "Docker Desktop"),
        (at_home(".colima/default/docker.sock"), "Colima"),
    ];
    let mut seen = Vec::new();
    let mut candidates = Vec::new();
    for (path, source) in sockets {
        let Some(path) = path else { continue };
        // Docker Desktop links the default socket to its own.
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        let endpoint = Endpoint::unix(path);
        candidates.push(Candidate {
            place: endpoint.to_string(),
            source: source.to_owned(),
            endpoint: Ok(endpoint),
            named: false,
        });
    }
    candidates
}

/// Reads an endpoint as Docker writes it. With `tls`, `tcp://` means TLS.
pub(crate) fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Endpoint> {
    let endpoint = match text.parse::<Endpoint>()? {
        Endpoint::Tcp { host, port } if tls.is_some() => {
            Endpoint::Tls { host, port, ca: None, pinned: None, certificate: None, key: None }
        }
        other => other,
    };
    Ok(match endpoint {
        Endpoint::Tls { host, port, .. } => {
            let TlsFiles { ca, certificate, key } = tls.unwrap_or_default();
            Endpoint::Tls { host, port, ca, pinned: None, certificate, key }
        }
        Endpoint::Ssh { destination, port, identity, path, .. } => {
            let mut command = vec!["docker".to_owned()];
            if let Some(path) = &path {
                command.push("--host".to_owned());
                command.push(format!("unix://{}", path.display()));
            }
            command.extend(["system".to_owned(), "dial-stdio".to_owned()]);
            Endpoint::Ssh { destination, port, identity, path, command }
        }
        other => other,
    })
}

fn wants_tls(host: &Host) -> bool {
    // `DOCKER_TLS` alone means TLS without verification to Docker's client. Here TLS is always verified.
    host.variable("DOCKER_TLS_VERIFY").is_some() || host.variable("DOCKER_TLS").is_some()
}

fn tls_files(host: &Host) -> Result<TlsFiles> {
    let Some(folder) = host.path_variable("DOCKER_CERT_PATH") else {
        let folder = contexts::settings_folder(host);
        return Ok(folder.map(|folder| TlsFiles::in_folder(&folder)).unwrap_or_default());
    };
    let files = TlsFiles::in_folder(&folder);
    if files.ca.is_none() {
        let file = folder.join("ca.pem");
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("cannot read `{}`", file.display()),
        )
        .with_cause("there is no such file")
        .with_remedy("set `DOCKER_CERT_PATH` to the folder with ca.pem, cert.pem and key.pem"));
    }
    Ok(files)
}

fn allowed(endpoint: Endpoint, config: &DockerConfig) -> Result<Endpoint> {
    if endpoint.is_exposed() && !config.allow_plain_tcp {
        return Err(Error::new(ErrorKind::InvalidInput, format!("`{endpoint}` is not encrypted"))
            .with_cause("whoever is on the way can read the credentials and rule the daemon")
            .with_remedy(
                "use ssh:// or TLS (`DOCKER_TLS_VERIFY=1`), or set `allow-plain-tcp = true` in [engine.docker] of your own file",
            ));
    }
    Ok(endpoint)
}

/// Says what is wrong with the file of a socket: whoever can write to it rules the daemon (threat 38).
pub(crate) fn warning(endpoint: &Endpoint, host: &Host) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let Endpoint::Unix { path } = endpoint else { return None };
    let data = std::fs::metadata(path).ok()?;
    let (owner, mode) = (data.uid(), data.mode() & 0o777);
    if mode & 0o002 != 0 {
        return Some(format!("every user of this machine can use the socket (mode {mode:o})"));
    }
    let foreign = owner != 0 && owner != host.user_id();
    foreign.then(|| format!("the socket belongs to another user (id {owner}, mode {mode:o})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(variables: &[(&str, &str)]) -> Host {
        Host::with_variables("/", variables.iter().copied())
    }

    fn only(variables: &[(&str, &str)], config: &DockerConfig) -> Candidate {
        let mut found = candidates(&host(variables), config);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn the_setting_goes_before_the_variable_and_the_variable_before_the_sockets() {
        let config = DockerConfig { host: Some("unix:///a.sock".into()), ..Default::default() };
        let found = only(&[("DOCKER_HOST", "unix:///b.sock")], &config);
        assert_eq!((found.place.as_str(), found.named), ("unix:///a.sock", true));
        let found = only(&[("DOCKER_HOST", "unix:///b.sock")], &DockerConfig::default());
        assert_eq!(
            (found.place.as_str(), found.source.as_str()),
            ("unix:///b.sock", "DOCKER_HOST")
        );
        let variables = [("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r")];
        let found = candidates(&host(&variables), &DockerConfig::default());
        let places: Vec<&str> = found.iter().map(|found| found.place.as_str()).collect();
        assert_eq!(
            places,
            [
                "unix:///var/run/docker.sock",
                "unix:///r/docker.sock",
                "unix:///h/.docker/run/docker.sock",
                "unix:///h/.docker/desktop/docker.sock",
                "unix:///h/.colima/default/docker.sock",
            ]
        );
    }

    #[test]
    fn a_password_in_an_endpoint_is_not_repeated_threat_36() {
        let variables = [("DOCKER_HOST", "ssh://me:hunter2@far")];
        let found = format!("{:?}", only(&variables, &DockerConfig::default()));
        assert!(!found.contains("hunter2"), "{found}");
    }

    #[test]
    fn plain_tcp_to_another_machine_needs_a_setting_threat_38() {
        let variables = [("DOCKER_HOST", "tcp://10.0.0.1:2375")];
        let found = only(&variables, &DockerConfig::default());
        let error = found.endpoint.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.context(), [("set by", "DOCKER_HOST".to_owned())]);
        let config = DockerConfig { allow_plain_tcp: true, ..Default::default() };
        assert!(only(&variables, &config).endpoint.is_ok());
        let variables = [("DOCKER_HOST", "tcp://127.0.0.1:2375")];
        assert!(only(&variables, &DockerConfig::default()).endpoint.is_ok());
    }

    #[test]
    fn tls_takes_the_files_of_the_certificate_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let variables = [
            ("DOCKER_HOST", "tcp://10.0.0.1:2376"),
            ("DOCKER_TLS_VERIFY", "1"),
            ("DOCKER_CERT_PATH", path),
        ];
        let error = only(&variables, &DockerConfig::default()).endpoint.unwrap_err();
        assert!(error.to_string().ends_with("ca.pem`"), "{error}");
        std::fs::write(folder.path().join("ca.pem"), "").unwrap();
        let endpoint = only(&variables, &DockerConfig::default()).endpoint.unwrap();
        assert!(matches!(endpoint, Endpoint::Tls { ca: Some(_), key: None, .. }), "{endpoint:?}");
    }

    #[test]
    fn ssh_runs_dockers_own_bridge_on_the_other_machine() {
        let Endpoint::Ssh { command, .. } = parse("ssh://me@far", None).unwrap() else { panic!() };
        assert_eq!(command, ["docker", "system", "dial-stdio"]);
        let Endpoint::Ssh { command, .. } = parse("ssh://me@far/run/d.sock", None).unwrap() else {
            panic!()
        };
        assert_eq!(command, ["docker", "--host", "unix:///run/d.sock", "system", "dial-stdio"]);
    }

    #[test]
    fn a_context_is_exclusive_and_default_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"gone"}"#).unwrap();
        let found = only(&[("DOCKER_CONFIG", path)], &DockerConfig::default());
        assert_eq!(found.place, "the current Docker context `gone`");
        assert_eq!(found.endpoint.unwrap_err().kind(), ErrorKind::NotFound);
        let variables = [("DOCKER_CONFIG", path), ("DOCKER_CONTEXT", "default")];
        let found = candidates(&host(&variables), &DockerConfig::default());
        assert_eq!(found[0].place, "unix:///var/run/docker.sock");
    }
}
