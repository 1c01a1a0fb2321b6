//! Where a service may listen: settings, environment, connection files, default sockets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Host, Result};
use boxwright_http::Endpoint;
use serde::Deserialize;

use crate::config::PodmanConfig;

/// The socket of a service that runs as root.
pub(crate) const ROOT_SOCKET: &str = "/run/podman/podman.sock";

/// Docker's socket, which Podman may answer on.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// The largest file with connections that is read.
const FILE_LIMIT: u64 = 1024 * 1024;

/// A place to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) endpoint: Endpoint,
    /// What named it, e.g. `CONTAINER_HOST`.
    pub(crate) source: String,
    /// Whether it is Docker's own, so that an answer of something else than Podman is nobody's fault.
    pub(crate) is_dockers: bool,
}

/// Where to look.
#[derive(Debug)]
pub(crate) enum Places {
    /// At one place, which the user named.
    Named(Place),
    /// At all of these.
    Usual(Vec<Place>),
}

/// A connection as `podman system connection add` writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Connection {
    #[serde(alias = "URI")]
    uri: String,
    #[serde(alias = "Identity")]
    identity: Option<PathBuf>,
    #[serde(alias = "TLSCA")]
    tls_ca: Option<PathBuf>,
    #[serde(alias = "TLSCert")]
    tls_cert: Option<PathBuf>,
    #[serde(alias = "TLSKey")]
    tls_key: Option<PathBuf>,
}

/// The files that an endpoint is reached with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Files {
    /// The private key for ssh.
    identity: Option<PathBuf>,
    /// The authorities that the server's certificate may come from.
    ca: Option<PathBuf>,
    /// The certificate that is shown to the server.
    certificate: Option<PathBuf>,
    /// The key of that certificate.
    key: Option<PathBuf>,
}

impl Files {
    /// Returns the files of the settings, else of the environment.
    fn of(host: &Host, config: &PodmanConfig) -> Self {
        let file = |set: &Option<PathBuf>, variable: &str| {
            set.clone().or_else(|| host.path_variable(variable))
        };
        Self {
            identity: file(&config.identity, "CONTAINER_SSHKEY"),
            ca: file(&config.tls_ca, "CONTAINER_TLS_CA"),
            certificate: file(&config.tls_cert, "CONTAINER_TLS_CERT"),
            key: file(&config.tls_key, "CONTAINER_TLS_KEY"),
        }
    }

    /// Returns the files that `connection` names, and these for what it does not name.
    fn beneath(self, connection: &Connection) -> Self {
        let Connection { identity, tls_ca, tls_cert, tls_key, .. } = connection.clone();
        // Certificate and key belong together.
        let (certificate, key) = match (tls_cert, tls_key) {
            (None, None) => (self.certificate, self.key),
            both => both,
        };
        Self { identity: identity.or(self.identity), ca: tls_ca.or(self.ca), certificate, key }
    }

    /// Returns whether `tcp://` means TLS.
    fn wants_tls(&self) -> bool {
        self.ca.is_some() || self.certificate.is_some() || self.key.is_some()
    }
}

/// What the connection files say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Connections {
    by_name: BTreeMap<String, Connection>,
    default: Option<String>,
    /// Whether `podman` itself always uses the default connection: `[engine] remote = true`.
    is_preferred: bool,
}

/// Returns where to look for a service.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when what the user named is no endpoint, with what named it as context.
pub(crate) fn places(host: &Host, config: &PodmanConfig) -> Result<Places> {
    let files = Files::of(host, config);
    let named = |text: &str, source: &str| {
        let place = place(text, files.clone(), source);
        place.map(Places::Named).map_err(|error| error.with_context("set by", source))
    };
    if let Some(text) = &config.host {
        return named(text, "setting `engine.podman.host`");
    }
    if let Some(text) = host.variable("CONTAINER_HOST") {
        return named(text, "CONTAINER_HOST");
    }
    let connections = connections(host)?;
    if let Some(name) = host.variable("CONTAINER_CONNECTION") {
        let connection = connections.by_name.get(name).ok_or_else(|| {
            let known: Vec<&str> = connections.by_name.keys().map(String::as_str).collect();
            let error = Error::new(
                ErrorKind::InvalidInput,
                format!("there is no Podman connection `{name}`"),
            )
            .with_context("set by", "CONTAINER_CONNECTION");
            match boxwright_core::nearest(name, &known) {
                Some(near) => error.with_remedy(format!("use `{near}`")),
                None => error.with_remedy("see `podman system connection list` for what there is"),
            }
        })?;
        let files = files.beneath(connection);
        return Ok(Places::Named(place(&connection.uri, files, "CONTAINER_CONNECTION")?));
    }
    let mut found = sockets(host);
    if let Some((name, connection)) = connections.chosen() {
        let files = files.beneath(connection);
        let place = place(&connection.uri, files, &format!("Podman connection `{name}`"))?;
        let at = if connections.is_preferred { 0 } else { found.len() };
        found.insert(at, place);
    }
    found.extend(dockers(host));
    Ok(Places::Usual(without_duplicates(found)))
}

fn place(text: &str, files: Files, source: &str) -> Result<Place> {
    let mut endpoint = with_tls(text.parse()?, &files)?;
    if let Endpoint::Ssh { identity, command, path, .. } = &mut endpoint {
        *identity = files.identity;
        *command = match path {
            Some(path) => {
                let url = format!("unix://{}", path.display());
                ["podman", "--remote", "--url", &url, "system", "dial-stdio"]
                    .map(str::to_owned)
                    .to_vec()
            }
            None => ["podman", "system", "dial-stdio"].map(str::to_owned).to_vec(),
        };
    }
    Ok(Place { endpoint, source: source.to_owned(), is_dockers: false })
}

/// Returns the endpoint with the files of TLS. With any of them, `tcp://` means TLS, as in Podman.
fn with_tls(endpoint: Endpoint, files: &Files) -> Result<Endpoint> {
    let (host, port) = match endpoint {
        Endpoint::Tcp { host, port } if files.wants_tls() => (host, port),
        Endpoint::Tls { host, port, .. } => (host, port),
        other => return Ok(other),
    };
    let Files { ca, certificate, key, .. } = files.clone();
    if certificate.is_some() != key.is_some() {
        let (is, lacks) =
            if key.is_none() { ("certificate", "key") } else { ("key", "certificate") };
        let message = format!("there is a client's {is} for TLS, and no {lacks}");
        return Err(Error::new(ErrorKind::InvalidInput, message)
            .with_remedy("name both: `CONTAINER_TLS_CERT` and `CONTAINER_TLS_KEY`"));
    }
    Ok(Endpoint::Tls { host, port, ca, pinned: None, certificate, key })
}

/// The sockets that the service has by default, this user's own first.
fn sockets(host: &Host) -> Vec<Place> {
    let place = |path: PathBuf, source: &str| Place {
        endpoint: Endpoint::unix(path),
        source: source.to_owned(),
        is_dockers: false,
    };
    let rootless = host
        .runtime_folder()
        .map(|folder| place(folder.join("podman/podman.sock"), "rootless socket"));
    let root = place(PathBuf::from(ROOT_SOCKET), "root socket");
    if host.user_id() == 0 {
        std::iter::once(root).chain(rootless).collect()
    } else {
        rootless.into_iter().chain([root]).collect()
    }
}

/// The places of Docker's that Podman may answer at. A broken one is Docker's to complain about.
fn dockers(host: &Host) -> Vec<Place> {
    let variable = host.variable("DOCKER_HOST").and_then(|text| text.parse::<Endpoint>().ok());
    let variable = variable.and_then(|endpoint| with_tls(endpoint, &dockers_files(host)).ok());
    // Over ssh, it is Docker's own program that would have to answer.
    let variable = variable.filter(|endpoint| !matches!(endpoint, Endpoint::Ssh { .. }));
    let variable = variable.map(|endpoint| (endpoint, "DOCKER_HOST"));
    let socket = (Endpoint::unix(DOCKER_SOCKET), "Docker's socket");
    let all = variable.into_iter().chain([socket]);
    all.map(|(endpoint, source)| Place { endpoint, source: source.to_owned(), is_dockers: true })
        .collect()
}

/// The files of TLS that go with `DOCKER_HOST`, as Docker's client finds them.
fn dockers_files(host: &Host) -> Files {
    let wants_tls =
        ["DOCKER_TLS_VERIFY", "DOCKER_TLS"].iter().any(|it| host.variable(it).is_some());
    let folder = host
        .path_variable("DOCKER_CERT_PATH")
        .or_else(|| host.path_variable("DOCKER_CONFIG"))
        .or_else(|| Some(host.home()?.join(".docker")));
    let Some(folder) = folder.filter(|_| wants_tls) else { return Files::default() };
    let file = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
    // That the authority's file is missing is told when it is read.
    let ca = Some(folder.join("ca.pem"));
    Files { identity: None, ca, certificate: file("cert.pem"), key: file("key.pem") }
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

impl Connections {
    fn chosen(&self) -> Option<(&str, &Connection)> {
        let name = self.default.as_deref()?;
        Some((name, self.by_name.get(name)?))
    }
}

/// Reads the connection files, the later ones over the earlier ones.
fn connections(host: &Host) -> Result<Connections> {
    let mut found = Connections::default();
    for file in containers_conf(host) {
        if let Some(text) = read(&file)? {
            add_containers_conf(&text, &mut found).map_err(|error| broken(&file, &error))?;
        }
    }
    let json = host
        .path_variable("PODMAN_CONNECTIONS_CONF")
        .or_else(|| Some(host.config_folder()?.join("containers/podman-connections.json")));
    if let Some(file) = json
        && let Some(text) = read(&file)?
    {
        add_connections_json(&text, &mut found).map_err(|error| broken(&file, &error))?;
    }
    Ok(found)
}

/// Returns the files that Podman reads its settings from, in its order.
fn containers_conf(host: &Host) -> Vec<PathBuf> {
    if let Some(file) = host.path_variable("CONTAINERS_CONF") {
        return vec![file];
    }
    let mut files = vec![
        PathBuf::from("/usr/share/containers/containers.conf"),
        PathBuf::from("/etc/containers/containers.conf"),
    ];
    files.extend(drop_ins(Path::new("/etc/containers/containers.conf.d")));
    if let Some(folder) = host.config_folder() {
        files.push(folder.join("containers/containers.conf"));
        files.extend(drop_ins(&folder.join("containers/containers.conf.d")));
    }
    files.extend(host.path_variable("CONTAINERS_CONF_OVERRIDE"));
    files
}

fn drop_ins(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    files
}

/// Reads a file, or `None` if there is none that this user may read.
fn read(file: &Path) -> Result<Option<String>> {
    use std::io::Read as _;
    let Ok(opened) = std::fs::File::open(file) else { return Ok(None) };
    let mut text = String::new();
    opened.take(FILE_LIMIT).read_to_string(&mut text).map_err(|error| broken(file, &error))?;
    Ok(Some(text))
}

fn broken(file: &Path, cause: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("cannot read Podman's settings `{}`", file.display()),
    )
    .with_cause(cause.to_string())
    .with_remedy("mend the file, or name the endpoint by `CONTAINER_HOST`")
}

fn add_containers_conf(text: &str, found: &mut Connections) -> Result<(), toml::de::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct File {
        engine: Engine,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Engine {
        active_service: Option<String>,
        remote: Option<bool>,
        service_destinations: BTreeMap<String, Connection>,
    }
    let file: File = toml::from_str(text)?;
    found.by_name.extend(file.engine.service_destinations);
    found.default = file.engine.active_service.or(found.default.take());
    found.is_preferred = file.engine.remote.unwrap_or(found.is_preferred);
    Ok(())
}

fn add_connections_json(text: &str, found: &mut Connections) -> Result<(), serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct File {
        connection: Section,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Section {
        default: Option<String>,
        connections: BTreeMap<String, Connection>,
    }
    let file: File = serde_json::from_str(text)?;
    found.by_name.extend(file.connection.connections);
    let default = file.connection.default.filter(|name| !name.is_empty());
    found.default = default.or(found.default.take());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(variables: &[(&str, &str)]) -> Host {
        // No file of this machine is read.
        let mut all = vec![("CONTAINERS_CONF", "/nowhere/containers.conf"), ("HOME", "/nowhere")];
        all.extend_from_slice(variables);
        Host::with_variables("/", all)
    }

    #[test]
    fn what_the_user_names_is_the_only_place() {
        let config =
            PodmanConfig { host: Some("unix:///a.sock".into()), ..PodmanConfig::default() };
        let host = host(&[("CONTAINER_HOST", "tcp://127.0.0.1:8080")]);
        let Places::Named(place) = places(&host, &config).unwrap() else { panic!() };
        assert_eq!(place.endpoint.to_string(), "unix:///a.sock");
        let Places::Named(place) = places(&host, &PodmanConfig::default()).unwrap() else {
            panic!()
        };
        assert_eq!(
            (place.endpoint.to_string().as_str(), place.source.as_str()),
            ("tcp://127.0.0.1:8080", "CONTAINER_HOST")
        );
    }

    #[test]
    fn what_is_no_endpoint_says_where_it_was_set() {
        let error = places(&host(&[("CONTAINER_HOST", "podman.sock")]), &PodmanConfig::default())
            .unwrap_err();
        assert_eq!(error.to_string(), "`podman.sock` is not an endpoint");
        assert_eq!(error.context(), [("set by", "CONTAINER_HOST".to_owned())]);
    }

    #[test]
    fn the_default_connection_is_asked_after_local_sockets_unless_remote_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("podman-connections.json");
        let json = r#"{"Connection":{"Default":"box","Connections":{"box":{"URI":"ssh://dev@box:22/run/p.sock","Identity":"/k"}}}}"#;
        std::fs::write(&file, json).unwrap();
        let conf = folder.path().join("containers.conf");
        for (text, first) in [("", false), ("[engine]\nremote = true\n", true)] {
            std::fs::write(&conf, text).unwrap();
            let host = host(&[
                ("PODMAN_CONNECTIONS_CONF", file.to_str().unwrap()),
                ("CONTAINERS_CONF", conf.to_str().unwrap()),
            ]);
            let Places::Usual(found) = places(&host, &PodmanConfig::default()).unwrap() else {
                panic!()
            };
            let at =
                found.iter().position(|place| place.source == "Podman connection `box`").unwrap();
            assert_eq!(at == 0, first);
            let Endpoint::Ssh { identity, command, .. } = &found[at].endpoint else { panic!() };
            assert_eq!(identity.as_deref(), Some(Path::new("/k")));
            assert_eq!(
                command.join(" "),
                "podman --remote --url unix:///run/p.sock system dial-stdio"
            );
        }
    }

    #[test]
    fn with_a_file_of_tls_tcp_means_tls() {
        let variables = [
            ("CONTAINER_HOST", "tcp://far:2376"),
            ("CONTAINER_TLS_CA", "/ca"),
            ("CONTAINER_TLS_CERT", "/cert"),
            ("CONTAINER_TLS_KEY", "/key"),
        ];
        let named = |count: usize, config: &PodmanConfig| -> Result<Endpoint> {
            match places(&host(&variables[..count]), config)? {
                Places::Named(place) => Ok(place.endpoint),
                Places::Usual(found) => panic!("{found:?}"),
            }
        };
        let config = PodmanConfig::default();
        assert!(matches!(named(1, &config), Ok(Endpoint::Tcp { .. })));
        let Ok(Endpoint::Tls { ca, certificate, key, .. }) = named(4, &config) else { panic!() };
        let files = [ca, certificate, key].map(|file| file.unwrap().display().to_string());
        assert_eq!(files, ["/ca", "/cert", "/key"]);
        let error = named(3, &config).unwrap_err();
        assert_eq!(error.to_string(), "there is a client's certificate for TLS, and no key");
        assert!(error.remedy().unwrap().contains("CONTAINER_TLS_KEY"), "{error:?}");
        let config = PodmanConfig { tls_ca: Some("/own".into()), ..config };
        let Ok(Endpoint::Tls { ca, .. }) = named(4, &config) else { panic!() };
        assert_eq!(ca, Some("/own".into()));
    }

    #[test]
    fn a_connection_brings_its_files_of_tls() {
        let mut found = Connections::default();
        let toml = "[engine.service_destinations.a]\nuri = \"tcp://a:1\"\ntls_ca = \"/ca\"\n";
        add_containers_conf(toml, &mut found).unwrap();
        let json = r#"{"Connection":{"Connections":{"b":{"URI":"tcp://b:1","TLSCA":"/ca","TLSCert":"/cert","TLSKey":"/key"}}}}"#;
        add_connections_json(json, &mut found).unwrap();
        let endpoint = |name: &str, files: Files| {
            let connection = &found.by_name[name];
            place(&connection.uri, files.beneath(connection), "").unwrap().endpoint
        };
        let Endpoint::Tls { ca, certificate: None, .. } = endpoint("a", Files::default()) else {
            panic!()
        };
        assert_eq!(ca, Some("/ca".into()));
        let others = Files { key: Some("/other".into()), ..Files::default() };
        let Endpoint::Tls { certificate, key, .. } = endpoint("b", others) else { panic!() };
        assert_eq!((certificate, key), (Some("/cert".into()), Some("/key".into())));
    }

    #[test]
    fn connections_in_containers_conf_are_known_by_name() {
        let mut found = Connections::default();
        let text = "[engine]\nactive_service = \"a\"\n[engine.service_destinations.a]\nuri = \"ssh://h\"\n";
        add_containers_conf(text, &mut found).unwrap();
        assert_eq!(found.chosen().unwrap().1.uri, "ssh://h");
        assert!(add_containers_conf("[engine", &mut found).is_err());
    }

    #[test]
    fn a_socket_is_asked_once_whatever_leads_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("real.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link.sock");
        std::os::unix::fs::symlink(&socket, &link).unwrap();
        let place = |path: &Path| Place {
            endpoint: Endpoint::unix(path),
            source: String::new(),
            is_dockers: false,
        };
        assert_eq!(without_duplicates(vec![place(&socket), place(&link)]), [place(&socket)]);
    }
}
