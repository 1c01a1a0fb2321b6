//! Finds and opens Docker daemons.

use std::sync::Arc;
use std::time::Duration;

use boxwright_core::{
    Detection, Engine, EngineName, EngineProvider, Error, ErrorKind, Host, Instance, Result,
    async_trait, nearest,
};
use boxwright_http::Endpoint;
use futures_util::future::join_all;

use crate::api::{Api, Identity};
use crate::config::{Builder, DockerConfig};
use crate::daemon::Daemon;
use crate::endpoints::{self, Candidate};
use crate::engine::DockerEngine;
use crate::server::Server;

/// The engine's name in settings and on the command line.
pub(crate) const NAME: EngineName = EngineName::new("docker");

/// How long one candidate has to answer when engines are looked for.
const LIMIT: Duration = Duration::from_secs(2);

/// Finds and opens Docker daemons, by the settings it was made with.
#[derive(Clone, Debug)]
pub struct DockerProvider {
    config: DockerConfig,
}

impl DockerProvider {
    /// Returns a provider with the settings `config`. It does nothing yet.
    #[must_use]
    pub fn new(config: DockerConfig) -> Self {
        Self { config }
    }

    async fn ask(&self, host: &Host, candidate: Candidate) -> Detection {
        let place = candidate.place;
        let endpoint = match candidate.endpoint {
            Ok(endpoint) => endpoint,
            Err(error) => return Detection::Unusable { place, error },
        };
        if !candidate.named && is_absent(&endpoint) {
            return Detection::Absent { place };
        }
        let answer = tokio::time::timeout(LIMIT, identify(host, &endpoint)).await;
        let answer = answer.unwrap_or_else(|_| Err(silent(&endpoint)));
        let answer = answer.map_err(|error| match candidate.named {
            true => error.with_context("set by", candidate.source.clone()),
            false => error,
        });
        match answer {
            Ok((_, Identity::Docker(server))) => {
                Detection::Ready(self.instance(host, &endpoint, candidate.source, &server))
            }
            // Podman answers on Docker's socket too; its own provider claims it.
            Ok((_, Identity::Podman)) if !candidate.named => {
                Detection::Absent { place: format!("{place}, where Podman answers") }
            }
            Ok((_, Identity::Podman)) => {
                let error = podman(&endpoint).with_context("set by", candidate.source);
                Detection::Unusable { place, error }
            }
            Err(error) => Detection::Unusable { place, error },
        }
    }

    fn instance(
        &self,
        host: &Host,
        endpoint: &Endpoint,
        source: String,
        server: &Server,
    ) -> Instance {
        let version = server.version.as_str();
        let mut instance = Instance::new(NAME, endpoint.to_string(), source, version);
        instance.rootless = Some(server.rootless);
        instance.storage_driver = server.storage_driver.clone();
        let builders = self.builders(host, server);
        instance.builders = builders.iter().map(|builder| builder.as_str().to_owned()).collect();
        instance.notes = server.notes.clone();
        instance.notes.extend(endpoints::warning(endpoint, host));
        instance
    }

    /// Returns the ways `server` builds, the one that the user prefers first.
    fn builders(&self, host: &Host, server: &Server) -> Vec<Builder> {
        let by_variable = match host.variable("DOCKER_BUILDKIT") {
            Some("0" | "false") => Some(Builder::Classic),
            Some("1" | "true") => Some(Builder::BuildKit),
            _ => None,
        };
        let mut builders = server.builders.clone();
        if let Some(preferred) = self.config.builder.or(by_variable) {
            // A stable sort: `false` comes first.
            builders.sort_by_key(|builder| *builder != preferred);
        }
        builders
    }

    /// Returns the endpoint that `instance` was detected at, with its TLS files and ssh command.
    fn endpoint(&self, host: &Host, instance: &Instance) -> Result<Endpoint> {
        let found = endpoints::candidates(host, &self.config).into_iter();
        let mut found = found.filter_map(|candidate| candidate.endpoint.ok());
        match found.find(|endpoint| endpoint.to_string() == instance.endpoint) {
            Some(endpoint) => Ok(endpoint),
            None => endpoints::parse(&instance.endpoint, None),
        }
    }
}

#[async_trait]
impl EngineProvider for DockerProvider {
    fn name(&self) -> EngineName {
        NAME
    }

    async fn detect(&self, host: &Host) -> Vec<Detection> {
        let candidates = endpoints::candidates(host, &self.config);
        join_all(candidates.into_iter().map(|candidate| self.ask(host, candidate))).await
    }

    async fn open(
        &self,
        host: &Host,
        instance: &Instance,
        builder: Option<&str>,
    ) -> Result<Arc<dyn Engine>> {
        let endpoint = self.endpoint(host, instance)?;
        let (api, identity) = identify(host, &endpoint).await?;
        let Identity::Docker(server) = identity else { return Err(podman(&endpoint)) };
        let builders = self.builders(host, &server);
        let builder = choose(&builders, builder)?;
        let http = api.http.clone();
        let (api, ()) =
            tokio::join!(api.negotiated(), boxwright_worker_container::sweep_at_start(&http));
        let api = api?;
        Ok(Arc::new(DockerEngine::new(Daemon::new(api, *server), builder)))
    }
}

async fn identify(host: &Host, endpoint: &Endpoint) -> Result<(Api, Identity)> {
    let api = Api::new(endpoint.clone(), host.clone())?;
    let identity = api.identify().await.map_err(|error| uncertified(endpoint, error))?;
    Ok((api, identity))
}

/// Says what a daemon does not that drops whoever shows no certificate.
fn uncertified(endpoint: &Endpoint, error: Error) -> Error {
    let bare = matches!(
        endpoint,
        Endpoint::Tls { certificate: None, .. } | Endpoint::Tls { key: None, .. }
    );
    if bare && error.to_string().starts_with("no answer") {
        return error.with_remedy(
            "show the daemon a certificate: put cert.pem and key.pem into the folder `DOCKER_CERT_PATH`",
        );
    }
    error
}

fn choose(builders: &[Builder], name: Option<&str>) -> Result<Builder> {
    let known: Vec<&str> = builders.iter().map(|builder| builder.as_str()).collect();
    let Some(name) = name else { return Ok(builders[0]) };
    let found = builders.iter().find(|builder| builder.as_str() == name);
    found.copied().ok_or_else(|| {
        let error =
            Error::new(ErrorKind::InvalidInput, format!("Docker has no builder `{name}` here"));
        match nearest(name, &known) {
            Some(near) => error.with_remedy(format!("use `{near}`")),
            None => error.with_remedy(format!("use one of {}", known.join(", "))),
        }
    })
}

/// Returns whether there is not even a socket file.
fn is_absent(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Unix { path } => std::fs::metadata(path).is_err_and(|error| {
            matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
        }),
        Endpoint::Tcp { .. } | Endpoint::Tls { .. } | Endpoint::Ssh { .. } => false,
    }
}

fn silent(endpoint: &Endpoint) -> Error {
    let message = format!("no answer from `{endpoint}` within two seconds");
    let error = Error::new(ErrorKind::Unavailable, message);
    match endpoint.ssh_by_hand() {
        Some(command) => error
            .with_cause("ssh does not get through, or the daemon behind it stays silent")
            .with_remedy(format!("see what is wrong by hand: `{command}`")),
        None => error
            .with_cause("it took the connection, or its address is out of reach, and stays silent")
            .with_remedy("see the daemon's log; restart it if it hangs"),
    }
}

fn podman(endpoint: &Endpoint) -> Error {
    Error::new(ErrorKind::Unavailable, format!("`{endpoint}` is Podman"))
        .with_cause("Podman answers there in Docker's language")
        .with_remedy("use it as what it is: `--engine podman`")
}
