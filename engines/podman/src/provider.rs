//! Finds and opens Podman services.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxwright_core::{
    Detection, Engine, EngineName, EngineProvider, Error, ErrorKind, Host, Instance, Result,
};
use boxwright_http::Endpoint;
use futures_util::future::join_all;

use crate::api::{Api, Identity, Server, identify, storage_driver};
use crate::autostart::{self, Service};
use crate::config::PodmanConfig;
use crate::endpoints::{Place, Places, ROOT_SOCKET, places};
use crate::engine::PodmanEngine;

/// The engine's name in settings and on the command line.
pub(crate) const NAME: EngineName = EngineName::new("podman");

/// The one way Podman builds.
pub(crate) const BUILDER: &str = "buildah";

/// How long a place that answered has for what is nice to know: a store with many images takes long to list them.
const FACT_LIMIT: Duration = Duration::from_millis(60);

/// The same for a place on another machine.
const FAR_FACT_LIMIT: Duration = Duration::from_millis(600);

/// What stands for the program where no service listens.
const PROGRAM: &str = "the program `podman`";

/// How long one place has to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// How long the places are asked alone, before the program is asked beside them.
const HEAD_START: Duration = Duration::from_millis(300);

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
            Ok(Places::Named(place)) => return vec![ask_named(&place, host).await],
            Ok(Places::Usual(found)) => found,
            Err(error) => {
                let place = "Podman's settings".to_owned();
                return vec![Detection::Unusable { place, error }];
            }
        };
        let asked = join_all(found.iter().map(|place| ask(place, host)));
        // The program takes longer than any service, so it is asked only where none answers, or one is slow.
        let mut asked = std::pin::pin!(asked);
        let (answers, program) = match tokio::time::timeout(HEAD_START, &mut asked).await {
            Ok(answers) => (answers, None),
            Err(_) => {
                let (answers, program) = tokio::join!(asked, self.program(host));
                (answers, Some(program))
            }
        };
        let mut detections: Vec<Detection> = Vec::new();
        for (place, answer) in found.iter().zip(answers) {
            match answer {
                Some(detection) => detections.push(detection),
                None if place.is_dockers => {}
                None => detections.push(Detection::Absent { place: place.endpoint.to_string() }),
            }
        }
        if !detections.iter().any(|detection| matches!(detection, Detection::Ready(_))) {
            detections.push(match program {
                Some(program) => program,
                None => self.program(host).await,
            });
        }
        detections
    }

    async fn describe(&self, host: &Host, instance: &mut Instance) {
        // The service lists all its images for it, which takes long in a store with many, and holds up a build.
        let Ok(endpoint) = self.endpoint_of(host, instance) else { return };
        if instance.endpoint == autostart::ENDPOINT {
            return;
        }
        let limit = if endpoint.is_unix() { FACT_LIMIT } else { FAR_FACT_LIMIT };
        let driver = tokio::time::timeout(limit, storage_driver(&endpoint, host)).await;
        instance.storage_driver = driver.ok().flatten();
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
                let api = Api::new(endpoint, host.clone(), server, service);
                boxwright_worker_container::sweep_at_start(&api.http()).await;
                Ok(Arc::new(PodmanEngine::new(api)))
            }
            Identity::Other => Err(not_podman(&endpoint)),
        }
    }
}

impl PodmanProvider {
    /// Says what can be done with the program where no service answers.
    async fn program(&self, host: &Host) -> Detection {
        match program_version(host).await {
            Ok(None) => Detection::Absent { place: PROGRAM.to_owned() + " in `PATH`" },
            Ok(Some(version)) if self.config.autostart => {
                Detection::Ready(autostarted(host, version))
            }
            Ok(Some(_)) => not_started(host),
            Err(error) => Detection::Unusable { place: PROGRAM.to_owned(), error },
        }
    }

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

/// Asks the one place that the user named. What is wrong with it says what named it.
async fn ask_named(place: &Place, host: &Host) -> Detection {
    let shown = place.endpoint.to_string();
    match ask(place, host).await {
        Some(Detection::Unusable { place: shown, error }) => Detection::Unusable {
            place: shown,
            error: error.with_context("set by", place.source.clone()),
        },
        Some(other) => other,
        None => {
            let error = Error::new(ErrorKind::Unavailable, format!("cannot connect to `{shown}`"))
                .with_cause("there is no such socket")
                .with_context("set by", place.source.clone())
                .with_remedy(format!(
                    "start it: `{}`, or correct {}",
                    start_command(&place.endpoint, host),
                    place.source
                ));
            Detection::Unusable { place: shown, error }
        }
    }
}

/// Asks one place. `None` means that nothing of Podman's is there.
async fn ask(place: &Place, host: &Host) -> Option<Detection> {
    if let Endpoint::Unix { path } = &place.endpoint
        && path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    {
        return None;
    }
    let answer = tokio::time::timeout(LIMIT, identify(&place.endpoint, host)).await;
    let answer = answer.unwrap_or_else(|_| Err(silent(&place.endpoint)));
    let unusable = |error: Error| Detection::Unusable { place: place.endpoint.to_string(), error };
    match answer {
        Ok(Identity::Podman(server)) => Some(Detection::Ready(instance(place, server))),
        Ok(Identity::Other) | Err(_) if place.is_dockers => None,
        Ok(Identity::Other) => Some(unusable(not_podman(&place.endpoint))),
        Err(error) => Some(unusable(with_podmans_remedy(error, place, host))),
    }
}

fn silent(endpoint: &Endpoint) -> Error {
    let error = Error::new(ErrorKind::Unavailable, "no answer within two seconds")
        .with_cause("the service hangs, or its machine is not to be reached");
    match endpoint.ssh_by_hand() {
        Some(command) => error.with_remedy(format!("see what is wrong by hand: `{command}`")),
        None => error,
    }
}

/// Says what to do in Podman's own terms about a place that cannot be used.
fn with_podmans_remedy(error: Error, place: &Place, host: &Host) -> Error {
    let is_silent = error.to_string().starts_with("no answer");
    let path = match &place.endpoint {
        Endpoint::Unix { path } => path,
        // Who shows no certificate is dropped after the handshake, without a word.
        Endpoint::Tls { certificate: None, .. } if is_silent => {
            return error.with_remedy(
                "show the service a certificate: set `CONTAINER_TLS_CERT` and `CONTAINER_TLS_KEY`",
            );
        }
        // It drops who speaks no TLS, or says so in TLS.
        Endpoint::Tcp { .. } if is_silent || error.kind() == ErrorKind::Protocol => {
            return error.with_remedy(
                "see whether the service runs; if it speaks TLS, name its authority by `CONTAINER_TLS_CA`",
            );
        }
        Endpoint::Tls { .. } | Endpoint::Tcp { .. } | Endpoint::Ssh { .. } => return error,
    };
    let cause = error.causes().into_iter().next().unwrap_or_default();
    if cause.starts_with("permission denied") && host.user_id() != 0 {
        let is_roots = path == std::path::Path::new(ROOT_SOCKET);
        return error.with_remedy(if is_roots {
            "use a service of your own: `systemctl --user start podman.socket`, or run as root"
        } else {
            "run as the user it belongs to, or use a service of your own: `systemctl --user start podman.socket`"
        });
    }
    if cause.starts_with("nothing listens") || is_silent {
        return error
            .with_remedy(format!("start it again: `{}`", start_command(&place.endpoint, host)));
    }
    error
}

/// Returns the command that makes a service listen at `endpoint`.
fn start_command(endpoint: &Endpoint, host: &Host) -> String {
    let has_systemd = std::path::Path::new("/run/systemd/system").is_dir();
    let is_path =
        |wanted: &std::path::Path| matches!(endpoint, Endpoint::Unix { path } if path == wanted);
    let own = host.runtime_folder().map(|folder| folder.join("podman/podman.sock"));
    if has_systemd && is_path(std::path::Path::new(ROOT_SOCKET)) {
        return "sudo systemctl restart podman.socket".to_owned();
    }
    if has_systemd && own.is_some_and(|own| is_path(&own)) {
        return "systemctl --user restart podman.socket".to_owned();
    }
    format!("podman system service --time 0 {endpoint} &")
}

fn instance(place: &Place, server: Server) -> Instance {
    let endpoint = place.endpoint.to_string();
    let mut instance = Instance::new(NAME, endpoint, place.source.clone(), server.version_text);
    instance.rootless = server.rootless;
    instance.builders = vec![BUILDER.to_owned()];
    instance.notes = vec![format!("Buildah {}", server.buildah)];
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

fn not_started(host: &Host) -> Detection {
    let socket = match (host.user_id(), host.runtime_folder()) {
        (0, _) | (_, None) => std::path::PathBuf::from(ROOT_SOCKET),
        (_, Some(folder)) => folder.join("podman/podman.sock"),
    };
    let error = Error::new(ErrorKind::Unavailable, "no Podman service listens")
        .with_cause("the program `podman` is there, and the setting `autostart` is off")
        .with_remedy(format!("start it: `{}`", start_command(&Endpoint::unix(socket), host)));
    Detection::Unusable { place: PROGRAM.to_owned(), error }
}

fn not_podman(endpoint: &Endpoint) -> Error {
    Error::new(ErrorKind::Unavailable, format!("`{endpoint}` is not Podman"))
        .with_cause("something else answers there, probably Docker")
        .with_remedy("name a Podman service, or choose the engine that answers there")
}

/// Returns the version of the program `podman`, or `None` if there is none.
async fn program_version(host: &Host) -> Result<Option<String>> {
    if host.find_program("podman").is_none() {
        return Ok(None);
    }
    let output = host.output("podman", &["--version"], LIMIT - HEAD_START).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().rsplit(' ').next().filter(|version| version.contains('.'));
    if let Some(version) = version.filter(|_| output.succeeded()) {
        return Ok(Some(version.to_owned()));
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    Err(Error::new(ErrorKind::Unavailable, "the program `podman` does not run")
        .with_cause(last.trim())
        .with_remedy("run `podman --version` to see what is wrong with it"))
}
