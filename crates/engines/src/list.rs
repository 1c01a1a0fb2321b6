//! The list: which engines there are, and what each needs of the settings.

use std::sync::Arc;

use boxwright_core::{Catalog, EngineProvider, Error, ErrorKind, Origin, Result};

use crate::planned::Planned;
use crate::settings::Settings;

/// Returns the catalog of all engines, each with its settings, preferred as the settings say.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when the preference names no
/// engine, with where it was set.
pub fn catalog(settings: &Settings) -> Result<Catalog> {
    let providers: Vec<Arc<dyn EngineProvider>> = vec![
        Arc::new(Planned::new("docker")),
        Arc::new(Planned::new("podman")),
        Arc::new(Planned::new("containerd")),
        Arc::new(Planned::new("lxd")),
        Arc::new(Planned::new("embedded")),
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
    /// [`ErrorKind::Unsupported`] when that engine takes no endpoint.
    pub fn with_endpoint(
        self,
        engine: &str,
        endpoint: &str,
        origin: impl Into<Origin>,
    ) -> Result<Self> {
        let _ = (endpoint, origin.into());
        let message = format!("cannot set where the engine `{engine}` is reached");
        Err(Error::new(ErrorKind::Unsupported, message).with_remedy("leave `--endpoint` out"))
    }
}
