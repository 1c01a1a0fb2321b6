//! The list: which engines there are, and what each needs of the settings.

use std::sync::Arc;

use boxwright_core::{Catalog, EngineProvider, Result};

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
