//! Finds and opens Podman services.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxwright_core::{
    Detection, Engine, EngineName, EngineProvider, Error, ErrorKind, Host, Instance, Result,
};
use boxwright_http::Endpoint;
use futures_util::future::join_all;

use crate::api::{Api, Identity, Server, identify};
use crate::autostart::{self, Service};
use crate::config::PodmanConfig;
use crate::endpoints::{Place, Places, places};
use crate::engine::PodmanEngine;

/// The engine's name in settings and on the command line.
pub(crate) const NAME: EngineName = EngineName::new("podman");

/// The one way Podman builds.
pub(crate) const BUILDER: &str = "buildah";

/// How long one place has to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Finds and opens Podman services.
#[derive(Debug, Default)]
pub struct PodmanProvider {
    config: PodmanConfig,
}

impl PodmanProvider {
    /// Returns a provider with these settings.
    #[must_use]
    pub fn new(config: PodmanConfig) -> Self {
        Self { config }
    }
}

#[async_trait]
impl EngineProvider for PodmanProvider {
    fn name(&self) -> EngineName {
        NAME
    }

    async fn detect(&self, host: &Host) -> Vec<Detection> {
        let found = match places(host, &self.config) {
            Ok(Places::Named(place)) => {
                let detection = ask(&place, host).await;
                return vec![detection.unwrap_or_else(|| named_but_absent(&place))];
            }
            Ok(Places::Usual(found)) => found,
            Err(error) => {
                let place = "Podman's settings".to_owned();
                return vec![Detection::Unusable { place, error }];
            }
        };
        let (answers, program) = tokio::join!(
            join_all(found.iter().map(|place| ask(place, host))),
            program_version(host)
        );
        let mut detections: Vec<Detection> = Vec::new();
        for (place, answer) in found.iter().zip(answers) {
            match answer {
                Some(detection) => detections.push(detection),
                None if place.is_dockers => {}
                None => detections.push(Detection::Absent { place: place.endpoint.to_string() }),
            }
        }
        if detections.iter().any(|detection| matches!(detection, Detection::Ready(_))) {
            return detections;
        }
        detections.push(match program {
            None => Detection::Absent { place: "the program `podman` in `PATH`".to_owned() },
            Some(version) if self.config.autostart => Detection::Ready(autostarted(host, version)),
            Some(_) => not_started(host),
        });
        detections
    }

    async fn open(
        &self,
        host: &Host,
        instance: &Instance,
        builder: Option<&str>,
    ) -> Result<Arc<dyn Engine>> {
        if let Some(builder) = builder.filter(|builder| *builder != BUILDER) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("Podman has no builder `{builder}`"),
            )
            .with_remedy(format!("use `{BUILDER}`")));
        }
        let (endpoint, service) = if instance.endpoint == autostart::ENDPOINT {
            let (service, endpoint) = Service::start(host).await?;
            (endpoint, Some(service))
        } else {
            (self.endpoint_of(host, instance)?, None)
        };
        match identify(&endpoint, host).await? {
            Identity::Podman(server) => {
                let api = Api::new(endpoint, host.clone(), *server, service);
                Ok(Arc::new(PodmanEngine::new(api)))
            }
            Identity::Other => Err(not_podman(&endpoint)),
        }
    }
}

impl PodmanProvider {
    /// Returns the endpoint of an instance, with what its text does not hold: the key and the command of ssh.
    fn endpoint_of(&self, host: &Host, instance: &Instance) -> Result<Endpoint> {
        let known = match places(host, &self.config)? {
            Places::Named(place) => vec![place],
            Places::Usual(found) => found,
        };
        let same = |place: &Place| place.endpoint.to_string() == instance.endpoint;
        match known.into_iter().find(same) {
            Some(place) => Ok(place.endpoint),
            None => instance.endpoint.parse(),
        }
    }
}

/// Asks one place. `None` means that nothing of Podman's is there.
async fn ask(place: &Place, host: &Host) -> Option<Detection> {
    if let Endpoint::Unix { path } = &place.endpoint {
        if path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        {
            return None;
        }
    }
    let answer = tokio::time::timeout(LIMIT, identify(&place.endpoint, host)).await;
    let answer = answer.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Unavailable, "no answer within two seconds").with_remedy(
            "see whether the service hangs, and restart it: `systemctl restart podman.service`",
        ))
    });
    match answer {
        Ok(Identity::Podman(server)) => Some(Detection::Ready(instance(place, &server))),
        Ok(Identity::Other) | Err(_) if place.is_dockers => None,
        Ok(Identity::Other) => Some(Detection::Unusable {
            place: place.endpoint.to_string(),
            error: not_podman(&place.endpoint),
        }),
        Err(error) => Some(Detection::Unusable { place: place.endpoint.to_string(), error }),
    }
}

fn instance(place: &Place, server: &Server) -> Instance {
    let mut instance = Instance::new(
        NAME,
        place.endpoint.to_string(),
        place.source.clone(),
        server.version_text.clone(),
    );
    instance.rootless = server.info.host.security.rootless;
    instance.storage_driver = server.info.store.graph_driver_name.clone();
    instance.builders = vec![BUILDER.to_owned()];
    let host = &server.info.host;
    let facts = [
        ("Buildah", host.buildah_version.as_str()),
        ("runtime", host.oci_runtime.name.as_str()),
        ("network", host.network_backend.as_str()),
    ];
    let notes = facts.iter().filter(|(_, value)| !value.is_empty());
    instance.notes = notes.map(|(name, value)| format!("{name} {value}")).collect();
    if place.endpoint.is_exposed() {
        instance
            .notes
            .push("not encrypted: whoever is on the way can read and command it".to_owned());
    }
    instance
}

fn autostarted(host: &Host, version: String) -> Instance {
    let mut instance = Instance::new(
        NAME,
        autostart::ENDPOINT,
        "the program `podman`, setting `autostart`",
        version,
    );
    instance.rootless = Some(host.user_id() != 0);
    instance.builders = vec![BUILDER.to_owned()];
    instance.notes =
        vec!["no service listens; a private one is started for the duration".to_owned()];
    instance
}

fn named_but_absent(place: &Place) -> Detection {
    let error =
        Error::new(ErrorKind::Unavailable, format!("cannot connect to `{}`", place.endpoint))
            .with_cause("there is no such socket")
            .with_context("set by", place.source.clone())
            .with_remedy(format!(
                "start the service that listens there, or correct {}",
                place.source
            ));
    Detection::Unusable { place: place.endpoint.to_string(), error }
}

fn not_started(host: &Host) -> Detection {
    let has_systemd = std::path::Path::new("/run/systemd/system").is_dir();
    let remedy = match (has_systemd, host.user_id()) {
        (true, 0) => "start its socket: `systemctl start podman.socket`",
        (true, _) => "start its socket: `systemctl --user start podman.socket`",
        (false, 0) => "start it: `podman system service --time 0 unix:///run/podman/podman.sock &`",
        (false, _) => {
            "start it: `podman system service --time 0 unix://$XDG_RUNTIME_DIR/podman/podman.sock &`"
        }
    };
    let error = Error::new(ErrorKind::Unavailable, "no Podman service listens")
        .with_cause("the program `podman` is there, and the setting `autostart` is off")
        .with_remedy(remedy);
    Detection::Unusable { place: "the program `podman`".to_owned(), error }
}

fn not_podman(endpoint: &Endpoint) -> Error {
    Error::new(ErrorKind::Unavailable, format!("`{endpoint}` is not Podman"))
        .with_cause("something else answers there, probably Docker")
        .with_remedy("name a Podman service, or choose the engine that answers there")
}

/// Returns the version of the program `podman`, if it is there and runs.
async fn program_version(host: &Host) -> Option<String> {
    let output = host.output("podman", &["--version"], LIMIT).await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().rsplit(' ').next().filter(|version| version.contains('.')).map(str::to_owned)
}
