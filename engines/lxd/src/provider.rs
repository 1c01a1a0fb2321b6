//! Finds and opens servers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxwright_core::{
    Detection, Engine, EngineName, EngineProvider, Error, ErrorKind, Host, Instance, Result,
};
use boxwright_http::Endpoint;
use boxwright_portable::local::place;
use boxwright_portable::{BUILDER, Store};
use boxwright_worker_program::WorkerProgram;
use futures_util::future::join_all;

use crate::api::{Api, Flavor, Server, identify};
use crate::config::LxdConfig;
use crate::endpoints::{Place, Places, places};
use crate::engine::LxdEngine;
use crate::surroundings::{self, Surroundings};
use crate::worker::Workers;

/// The engine's name in settings and on the command line.
pub(crate) const NAME: EngineName = EngineName::new("lxd");

/// How long one place has to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Finds and opens servers of LXD and Incus.
#[derive(Debug, Default)]
pub struct LxdProvider {
    config: LxdConfig,
    store: Option<String>,
}

impl LxdProvider {
    /// Returns a provider with these settings. Images are kept in the folder `store`; by default in that of the embedded engine.
    #[must_use]
    pub fn new(config: LxdConfig, store: Option<String>) -> Self {
        Self { config, store }
    }

    fn known_places(&self, host: &Host) -> Result<Vec<Place>> {
        Ok(match places(host, &self.config)? {
            Places::Named(place) => vec![place],
            Places::Usual(found) => found,
        })
    }

    fn api(&self, place: &Place, host: &Host, server: Server) -> Api {
        let project = self.config.project.clone().or_else(|| place.project.clone());
        Api::new(place.endpoint.clone(), host.clone(), server, project)
    }

    /// Asks one place. `None` means that nothing is there.
    async fn ask(&self, place: &Place, host: &Host) -> Option<Detection> {
        if let Endpoint::Unix { path } = &place.endpoint
            && path
                .symlink_metadata()
                .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        {
            return None;
        }
        let question = async {
            let server = identify(&place.endpoint, host).await?;
            let api = self.api(place, host, server);
            let around = surroundings::find(&api, &self.config).await;
            Ok((around.map_err(|error| self.with_project(error))?, api.server))
        };
        let answer = tokio::time::timeout(LIMIT, question).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, "no answer within two seconds")
                .with_cause("the server hangs, or its machine is not to be reached"))
        });
        Some(match answer {
            Ok((around, server)) => Detection::Ready(instance(place, &server, &around)),
            Err(error) => Detection::Unusable { place: place.endpoint.to_string(), error },
        })
    }

    fn with_project(&self, error: Error) -> Error {
        match &self.config.project {
            Some(project) => error.with_context("project", project.clone()),
            None => error,
        }
    }
}

#[async_trait]
impl EngineProvider for LxdProvider {
    fn name(&self) -> EngineName {
        NAME
    }

    async fn detect(&self, host: &Host) -> Vec<Detection> {
        let (found, is_named) = match places(host, &self.config) {
            Ok(Places::Named(place)) => (vec![place], true),
            Ok(Places::Usual(found)) => (found, false),
            Err(error) => {
                let place = "the settings of LXD".to_owned();
                return vec![Detection::Unusable { place, error }];
            }
        };
        let answers = join_all(found.iter().map(|place| self.ask(place, host))).await;
        let mut detections = Vec::new();
        for (place, answer) in found.iter().zip(answers) {
            let shown = place.endpoint.to_string();
            detections.push(match answer {
                Some(Detection::Unusable { place: shown, error }) if is_named => {
                    let error = error.with_context("set by", place.source.clone());
                    Detection::Unusable { place: shown, error }
                }
                Some(answer) => answer,
                None if is_named => {
                    Detection::Unusable { error: nothing_there(place), place: shown }
                }
                None => Detection::Absent { place: shown },
            });
        }
        detections
    }

    async fn open(
        &self,
        host: &Host,
        instance: &Instance,
        builder: Option<&str>,
    ) -> Result<Arc<dyn Engine>> {
        if let Some(builder) = builder.filter(|builder| *builder != BUILDER) {
            let message = format!("LXD has no builder `{builder}`");
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with_cause("it builds no images itself")
                .with_remedy(format!("use `{BUILDER}`")));
        }
        let known = self.known_places(host)?;
        let same = |place: &&Place| place.endpoint.to_string() == instance.endpoint;
        let place = known.iter().find(same).ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                format!("`{}` is not known any more", instance.endpoint),
            )
        })?;
        let server = identify(&place.endpoint, host).await?;
        let store = Store::open(place::place(host, self.store.as_deref())?.folder)?;
        let api = self.api(place, host, server);
        let program = WorkerProgram::carried()?;
        Ok(Arc::new(LxdEngine::new(Workers { api, config: self.config.clone(), program }, store)))
    }
}

fn instance(place: &Place, server: &Server, around: &Surroundings) -> Instance {
    let endpoint = place.endpoint.to_string();
    let mut instance = Instance::new(NAME, endpoint, place.source.clone(), server.version());
    // Instances are not privileged, but the server itself runs as root.
    instance.rootless = Some(false);
    instance.storage_driver = Some(around.driver.clone());
    instance.builders = vec![BUILDER.to_owned()];
    if server.flavor == Flavor::Incus {
        instance.notes.push("Incus".to_owned());
    }
    if server.info.environment.server_clustered {
        instance
            .notes
            .push(format!("member `{}` of a cluster", server.info.environment.server_name));
    }
    if around.network.is_none() {
        instance.notes.push(surroundings::no_network(server.flavor));
    }
    instance
}

fn nothing_there(place: &Place) -> Error {
    let message = format!("cannot connect to `{}`", place.endpoint);
    Error::new(ErrorKind::Unavailable, message)
        .with_cause("there is no such socket")
        .with_context("set by", place.source.clone())
        .with_remedy(format!("start LXD or Incus, or correct {}", place.source))
}
