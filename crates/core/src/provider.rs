//! How engines are found and opened.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use crate::engine::{Engine, EngineName};
use crate::error::{Error, Result};
use crate::host::Host;

/// Finds and opens the engines of one kind. It holds that engine's settings.
#[async_trait]
pub trait EngineProvider: fmt::Debug + Send + Sync {
    /// Returns the name in settings and on the command line.
    fn name(&self) -> EngineName;

    /// Asks every place where such an engine may be, all at once. Changes nothing, gives up on each
    /// after two seconds, and returns one answer for each instance it found (root and rootless are two)
    /// or looked for. One broken candidate never hides another. An endpoint that the user named is
    /// the only candidate.
    async fn detect(&self, host: &Host) -> Vec<Detection>;

    /// Adds to an instance that is shown to people what takes the engine time to tell, and no build needs to know. Most
    /// tell everything at once.
    async fn describe(&self, _host: &Host, _instance: &mut Instance) {}

    /// Opens `instance`, which this provider detected, without searching again. `builder` is one of the
    /// instance's builders; the default is its first one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when it is gone meanwhile,
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when it has no such builder.
    async fn open(
        &self,
        host: &Host,
        instance: &Instance,
        builder: Option<&str>,
    ) -> Result<Arc<dyn Engine>>;
}

/// One answer to the question whether there is an engine.
#[derive(Debug)]
pub enum Detection {
    /// It answers.
    Ready(Instance),
    /// It is there, but cannot be used.
    Unusable {
        /// Where, e.g. `unix:///var/run/docker.sock`.
        place: String,
        /// Why, and what to do.
        error: Error,
    },
    /// There is nothing.
    Absent {
        /// Where it was looked for, or why it cannot be there.
        place: String,
    },
}

/// An engine that answers, and what it said of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Instance {
    /// The engine.
    pub engine: EngineName,
    /// Where it was reached, e.g. `unix:///run/podman/podman.sock`.
    pub endpoint: String,
    /// What named the endpoint, e.g. `DOCKER_HOST` or `default socket`.
    pub source: String,
    /// The version the server reports.
    pub version: String,
    /// Whether it runs as an ordinary user. `None` if it does not say.
    pub rootless: Option<bool>,
    /// The storage driver it reports, e.g. `overlay2`.
    pub storage_driver: Option<String>,
    /// The ways it builds, the default one first, e.g. `buildkit` and `classic`.
    pub builders: Vec<String>,
    /// Other facts for people, by name.
    pub notes: Vec<String>,
}

impl Instance {
    /// Returns an instance that says nothing but where it is and its version.
    #[must_use]
    pub fn new(
        engine: EngineName,
        endpoint: impl Into<String>,
        source: impl Into<String>,
        version: impl Into<String>,
    ) -> Self {
        Self {
            engine,
            endpoint: endpoint.into(),
            source: source.into(),
            version: version.into(),
            rootless: None,
            storage_driver: None,
            builders: Vec::new(),
            notes: Vec::new(),
        }
    }
}
