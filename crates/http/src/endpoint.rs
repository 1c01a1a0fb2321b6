//! Where an engine listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use boxwright_core::{Error, ErrorKind, Host, Result};
use tokio::net::TcpStream;

use crate::connection::Connection;
use crate::{ssh, tls, unix};

/// How long reaching another machine may take. Whoever only looks around gives up earlier.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// Where an engine listens. `Display` writes it as a URL, without credentials.
///
/// ```
/// use boxwright_http::Endpoint;
///
/// let endpoint: Endpoint = "ssh://dev@build.example:2222/run/podman/podman.sock".parse()?;
/// assert_eq!(endpoint.to_string(), "ssh://dev@build.example:2222/run/podman/podman.sock");
/// # Ok::<(), boxwright_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A socket on this machine.
    Unix {
        /// The socket file.
        path: PathBuf,
    },
    /// A port without encryption.
    Tcp {
        /// The host's name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A port with TLS.
    Tls {
        /// The host's name or address, which its certificate must have.
        host: String,
        /// The port.
        port: u16,
        /// A PEM file with the authorities the server's certificate may come from. Default: the system's.
        ca: Option<PathBuf>,
        /// A PEM file with the one certificate that the server must show, whatever name or authority it has. `ca`
        /// does not count then.
        pinned: Option<PathBuf>,
        /// A PEM file with the certificate that the client shows.
        certificate: Option<PathBuf>,
        /// A PEM file with the key of that certificate.
        key: Option<PathBuf>,
    },
    /// The standard streams of a program on another machine, reached by the system's `ssh`.
    Ssh {
        /// The host, with `USER@` before it if one was given.
        destination: String,
        /// The port. Default: what ssh's own settings say.
        port: Option<u16>,
        /// A file with the private key. Default: what ssh's own settings say.
        identity: Option<PathBuf>,
        /// The socket on the other machine, where one was named.
        path: Option<PathBuf>,
        /// The remote command that bridges its standard streams to the engine,
        /// e.g. `docker system dial-stdio`. Each argument is quoted for the remote shell.
        command: Vec<String>,
    },
}

impl Endpoint {
    /// Returns the endpoint of the socket file `path`.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix { path: path.into() }
    }

    /// Returns whether it is on this machine by its nature: a socket file.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix { .. })
    }

    /// Returns whether what is sent can be read on the way: plain TCP to another machine than this.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => {
                let address = host.parse::<std::net::IpAddr>();
                !(host == "localhost" || address.is_ok_and(|address| address.is_loopback()))
            }
            Self::Unix { .. } | Self::Tls { .. } | Self::Ssh { .. } => false,
        }
    }

    /// Returns the command that reaches the same machine by hand, or `None` if ssh does not lead there.
    #[must_use]
    pub fn ssh_by_hand(&self) -> Option<String> {
        let Self::Ssh { destination, port, identity, .. } = self else { return None };
        let port = port.map(|port| format!("-p {port} ")).unwrap_or_default();
        let identity = identity.as_ref().map(|file| format!("-i {} ", file.display()));
        Some(format!("ssh {port}{}{destination} true", identity.unwrap_or_default()))
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when it is not there, refuses, is closed to this user, or does not answer
    /// in time; [`ErrorKind::InvalidInput`] for certificate files that cannot be used. Cause and remedy
    /// say which.
    pub async fn connect(&self, host: &Host) -> Result<Connection> {
        match self {
            Self::Unix { path } => Ok(Connection::new(unix::connect(path).await?)),
            Self::Tcp { host, port } => Ok(Connection::new(self.tcp(host, *port).await?)),
            Self::Tls { host, port, ca, pinned, certificate, key } => {
                let identity = certificate.as_deref().zip(key.as_deref());
                let trust = match (pinned, ca) {
                    (Some(file), _) => tls::Trust::One(file),
                    (None, Some(file)) => tls::Trust::Authorities(file),
                    (None, None) => tls::Trust::System,
                };
                let config = tls::configuration(trust, identity).await?;
                let stream = self.tcp(host, *port).await?;
                let handshake = tls::handshake(config, host, stream);
                let stream = self.within_limit(handshake).await?;
                Ok(Connection::new(stream.map_err(|error| tls::refused(self, error))?))
            }
            Self::Ssh { destination, port, identity, command, .. } => {
                let bridge =
                    ssh::Bridge { destination, port: *port, identity: identity.as_deref() };
                Ok(Connection::new(bridge.start(host, command, self.to_string())?))
            }
        }
    }

    async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream> {
        let stream = self.within_limit(TcpStream::connect((host, port))).await?;
        let stream = stream.map_err(|error| {
            let failure = Error::new(ErrorKind::Unavailable, format!("cannot reach `{self}`"));
            let remedy = match error.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    "start the engine's service, or correct the port"
                }
                _ => "correct the host and port, and see that its network is up",
            };
            failure.with_source(error).with_remedy(remedy)
        })?;
        // A request that waits for more bytes to join it only costs time here.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    async fn within_limit<T>(&self, work: impl Future<Output = T> + Send) -> Result<T> {
        tokio::time::timeout(CONNECT_LIMIT, work).await.map_err(|_| {
            Error::new(ErrorKind::Unavailable, format!("cannot reach `{self}`"))
                .with_cause(format!("no answer within {} seconds", CONNECT_LIMIT.as_secs()))
                .with_remedy("correct the host and port, and see that its network is up")
        })
    }

    /// Returns what a request names as its host.
    pub(crate) fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => bracketed(host, *port),
            Self::Unix { .. } | Self::Ssh { .. } => "localhost".to_owned(),
        }
    }
}

fn bracketed(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { path } => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } => write!(f, "tcp://{}", bracketed(host, *port)),
            Self::Tls { host, port, .. } => write!(f, "https://{}", bracketed(host, *port)),
            Self::Ssh { destination, port, path, .. } => {
                write!(f, "ssh://{destination}")?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))?;
                path.as_ref().map_or(Ok(()), |path| write!(f, "{}", path.display()))
            }
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    /// Reads `unix://PATH`, a bare absolute path, `tcp://HOST:PORT`, `http://HOST:PORT`, `https://HOST:PORT`, or
    /// `ssh://[USER@]HOST[:PORT][/PATH]`. What TLS and ssh need besides is up to the engine: the port
    /// must be there, and the ssh endpoint has no command yet.
    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|cause| {
            Error::new(ErrorKind::InvalidInput, format!("`{}` is not an endpoint", redacted(text)))
                .with_cause(cause)
                .with_remedy(
                    "write it as `unix:///PATH`, `tcp://HOST:PORT` or `ssh://USER@HOST:PORT/PATH`",
                )
        })
    }
}

/// Returns `text` without a password before its host.
fn redacted(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, host))) => match rest.split_once(':') {
            Some((user, _)) if rest.contains('@') => format!("{scheme}://{user}:…@{host}"),
            _ => text.to_owned(),
        },
        _ => text.to_owned(),
    }
}

fn parse(text: &str) -> Result<Endpoint, String> {
    if text.starts_with('/') {
        return Ok(Endpoint::unix(text));
    }
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    match scheme {
        "unix" if rest.starts_with('/') => Ok(Endpoint::unix(rest)),
        "unix" => Err("the path of a socket is absolute".into()),
        "tcp" | "http" => {
            let (host, port) = host_and_port(rest.trim_end_matches('/'))?;
            Ok(Endpoint::Tcp { host, port: port.ok_or("it has no port")? })
        }
        "https" => {
            let (host, port) = host_and_port(rest.trim_end_matches('/'))?;
            let port = port.ok_or("it has no port")?;
            Ok(Endpoint::Tls { host, port, ca: None, pinned: None, certificate: None, key: None })
        }
        "ssh" => {
            let (place, path) = match rest.find('/') {
                Some(at) => {
                    (&rest[..at], Some(PathBuf::from(&rest[at..])).filter(|p| p.as_os_str() != "/"))
                }
                None => (rest, None),
            };
            let (user, place) = match place.rsplit_once('@') {
                Some((user, _)) if user.contains(':') => return Err("it holds a password".into()),
                Some((user, place)) => (Some(user), place),
                None => (None, place),
            };
            let (host, port) = host_and_port(place)?;
            // What ssh could take for an option, or for a command of its own, is no name.
            let plain = |word: &str| {
                !word.is_empty()
                    && !word.starts_with('-')
                    && !word.contains(|c: char| c.is_whitespace() || c.is_control())
            };
            if !plain(&host) || !user.is_none_or(plain) {
                return Err("its user or host is not a name".into());
            }
            let destination = user.map_or(host.clone(), |user| format!("{user}@{host}"));
            Ok(Endpoint::Ssh { destination, port, identity: None, path, command: Vec::new() })
        }
        other => Err(format!("`{other}` is not a scheme that engines are reached by")),
    }
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => (address, after.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() || host.contains(['/', '@', ' ', '?', '#']) {
        return Err("it has no host".into());
    }
    let port = port.map(|port| port.parse::<u16>().map_err(|_| format!("`{port}` is not a port")));
    Ok((host.to_owned(), port.transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_read() {
        for url in [
            "unix:///run/podman/podman.sock",
            "tcp://127.0.0.1:2375",
            "tcp://[::1]:2375",
            "https://build.example:2376",
            "ssh://build.example",
            "ssh://dev@build.example:22/run/user/1000/podman/podman.sock",
        ] {
            assert_eq!(url.parse::<Endpoint>().unwrap().to_string(), url);
        }
        assert_eq!("/a.sock".parse::<Endpoint>().unwrap(), Endpoint::unix("/a.sock"));
    }

    #[test]
    fn what_could_be_an_option_or_hides_a_password_is_refused_threat_23() {
        for bad in [
            "",
            "tcp://",
            "tcp://host",
            "tcp://host:99999",
            "unix://relative",
            "ssh://-oProxyCommand=x",
            "ssh://a b",
            "ssh://user:pw@host",
            "ftp://host:21",
            "npipe:////./pipe/docker",
            "host:2375",
            "tcp://user@host:1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
        let error = "ssh://user:hunter2@host".parse::<Endpoint>().unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn the_way_by_hand_is_the_same_one() {
        let by_hand = |url: &str| url.parse::<Endpoint>().unwrap().ssh_by_hand();
        assert_eq!(by_hand("ssh://dev@far:2222/run/p.sock").unwrap(), "ssh -p 2222 dev@far true");
        assert_eq!(by_hand("tcp://127.0.0.1:2375"), None);
    }

    #[test]
    fn plain_tcp_is_exposed_unless_it_stays_here() {
        let exposed = |url: &str| url.parse::<Endpoint>().unwrap().is_exposed();
        assert!(exposed("tcp://build.example:2375"));
        assert!(!exposed("tcp://127.0.0.1:2375"));
        assert!(!exposed("tcp://[::1]:2375"));
        assert!(!exposed("https://build.example:2376"));
    }
}
