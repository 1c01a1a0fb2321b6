//! The list: which engines there are, and what each needs of the settings.

use std::sync::Arc;

#[cfg(feature = "containerd")]
use boxwright_engine_containerd::ContainerdProvider;
#[cfg(feature = "docker")]
use boxwright_engine_docker::DockerProvider;
#[cfg(feature = "embedded")]
use boxwright_engine_embedded::EmbeddedProvider;
#[cfg(feature = "lxd")]
use boxwright_engine_lxd::LxdProvider;
#[cfg(feature = "podman")]
use boxwright_engine_podman::PodmanProvider;

use boxwright_core::{Catalog, EngineProvider, Error, ErrorKind, Origin, Result};

#[cfg(any(feature = "docker", feature = "podman"))]
use crate::composed::Composed;
use crate::settings::{EngineTable, Settings};

/// The order in which `auto` prefers engines where nobody says another one.
pub(crate) const PREFERENCE: &[&str] = &[
    #[cfg(feature = "docker")]
    "docker",
    #[cfg(feature = "podman")]
    "podman",
    // Both build portably: behind what builds itself, and before what has no daemon to keep images for.
    #[cfg(feature = "containerd")]
    "containerd",
    #[cfg(feature = "lxd")]
    "lxd",
    // Last: it is always ready.
    #[cfg(feature = "embedded")]
    "embedded",
];

/// Variables that the engines themselves take for where they are, by the setting that comes before each.
pub(crate) const ENDPOINT_VARIABLES: &[(&str, &str)] = &[
    #[cfg(feature = "docker")]
    ("engine.docker.host", "DOCKER_HOST"),
    #[cfg(feature = "podman")]
    ("engine.podman.host", "CONTAINER_HOST"),
    #[cfg(feature = "containerd")]
    ("engine.containerd.address", "CONTAINERD_ADDRESS"),
    #[cfg(feature = "lxd")]
    ("engine.lxd.host", "LXD_SOCKET"),
    #[cfg(feature = "embedded")]
    ("engine.embedded.store", "BOXWRIGHT_STORE"),
];

/// Returns the catalog of all engines, each with its settings, preferred as the settings say.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when the preference names no
/// engine, with where it was set.
pub fn catalog(settings: &Settings) -> Result<Catalog> {
    let providers: Vec<Arc<dyn EngineProvider>> = vec![
        #[cfg(feature = "docker")]
        composed(settings, DockerProvider::new(settings.engines().docker.clone())),
        #[cfg(feature = "podman")]
        composed(settings, PodmanProvider::new(settings.engines().podman.clone())),
        #[cfg(feature = "containerd")]
        Arc::new(ContainerdProvider::new(settings.engines().containerd.clone())),
        #[cfg(feature = "lxd")]
        Arc::new(LxdProvider::new(
            settings.engines().lxd.clone(),
            store(settings.engines()).map(str::to_owned),
        )),
        #[cfg(feature = "embedded")]
        Arc::new(EmbeddedProvider::new(settings.engines().embedded.clone())),
    ];
    let preference = settings.preference();
    Catalog::new(providers)
        .with_preference(&preference.value)
        .map_err(|error| error.with_context("set by", preference.origin.clone()))
}

impl Settings {
    /// Returns the settings with the place where `engine` is reached, which is then the only candidate.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when there is no such engine, or it takes no endpoint.
    pub fn with_endpoint(
        mut self,
        engine: &str,
        endpoint: &str,
        origin: impl Into<Origin>,
    ) -> Result<Self> {
        let Some((setting, slot)) = endpoint_of(self.engines_mut(), engine) else {
            let message = format!("cannot set where the engine `{engine}` is reached");
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with_cause("no engine of that name takes an endpoint")
                .with_remedy("name the engine as well: `--engine docker` or `--engine podman`"));
        };
        *slot = Some(endpoint.to_owned());
        Ok(self.with_effective(setting, endpoint, origin))
    }
}

/// Adds the portable builder to what a provider opens.
#[cfg(any(feature = "docker", feature = "podman"))]
fn composed(settings: &Settings, inner: impl EngineProvider + 'static) -> Arc<dyn EngineProvider> {
    Arc::new(Composed::new(Arc::new(inner), store(settings.engines()).map(str::to_owned)))
}

/// Returns the folder that the settings name for images of Boxwright's own store.
#[cfg(any(feature = "docker", feature = "lxd", feature = "podman"))]
fn store(engines: &EngineTable) -> Option<&str> {
    #[cfg(feature = "embedded")]
    return engines.embedded.store.as_deref();
    #[cfg(not(feature = "embedded"))]
    {
        let _ = engines;
        None
    }
}

/// Returns the setting that says where an engine is reached, by its name.
fn endpoint_of<'a>(
    engines: &'a mut EngineTable,
    name: &str,
) -> Option<(&'static str, &'a mut Option<String>)> {
    // Nothing else uses it where no engine is compiled in.
    let _ = &engines;
    match name {
        #[cfg(feature = "docker")]
        "docker" => Some(("engine.docker.host", &mut engines.docker.host)),
        #[cfg(feature = "podman")]
        "podman" => Some(("engine.podman.host", &mut engines.podman.host)),
        #[cfg(feature = "containerd")]
        "containerd" => Some(("engine.containerd.address", &mut engines.containerd.address)),
        #[cfg(feature = "lxd")]
        "lxd" => Some(("engine.lxd.host", &mut engines.lxd.host)),
        #[cfg(feature = "embedded")]
        "embedded" => Some(("engine.embedded.store", &mut engines.embedded.store)),
        _ => None,
    }
}
