//! Brings up all daemons of an environment.

use std::time::Instant;

use super::layout::Layout;
use super::registry::{self, PASSWORD, Registries, USER};
use super::setup::Setup;
use super::state::State;
use super::{base_image, containerd, docker, lxd, podman, stand_in};
use crate::problem::{Problem, Result};

/// The variable with the names that stand-in images have.
pub(crate) const MAP: &str = "BOXWRIGHT_TEST_REGISTRY_MAP";

/// Which stand-in images there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Images {
    /// Those that take no time.
    Small,
    /// The one of Debian, too.
    All,
}

/// Starts what `setups` describe, waits until all of it answers, and notes in `state` what tests read.
///
/// `progress` is told what is ready; once it fails, nobody wants the environment any more.
pub(crate) fn start(
    setups: &[Setup],
    images: Images,
    layout: &Layout,
    state: &mut State,
    progress: &mut dyn FnMut(&str) -> std::io::Result<()>,
) -> Result<()> {
    let begin = Instant::now();
    let gone = |error| Problem::new("cannot report progress").cause(error);
    let wanted: Vec<_> = setups
        .iter()
        .filter_map(|setup| Some((setup.name.clone(), setup.registry.clone()?)))
        .collect();
    let (mut daemons, registries) = registry::start(&wanted, layout, state)?;
    for setup in setups {
        if let Some(containerd) = &setup.containerd {
            daemons.push(containerd::start(&setup.name, containerd, layout, state)?);
        }
        if let Some(docker) = &setup.docker {
            daemons.push(docker::start(&setup.name, docker, &registries, layout, state)?);
        }
        if let Some(podman) = &setup.podman {
            daemons.push(podman::start(&setup.name, podman, &registries, layout, state)?);
        }
        if setup.lxd.is_some() {
            daemons.push(lxd::start(&setup.name, layout, state)?);
        }
    }
    for daemon in daemons {
        let (name, time) = daemon.wait()?;
        progress(&format!("{name} is ready after {} ms", time.as_millis())).map_err(gone)?;
    }
    for lxd in setups.iter().filter_map(|setup| setup.lxd.as_ref()) {
        lxd::configure(lxd, layout, state)?;
    }
    note_registries(&registries, layout, state);
    if let Some(open) = registries.addresses.get("open") {
        let image = base_image::push(open)?;
        progress(&format!("{image} is pushed")).map_err(gone)?;
        state.variables.insert("BOXWRIGHT_TEST_BASE".to_owned(), image);
        let debian = match images {
            Images::All => Some(stand_in::debian::layer(&stand_in::debian::DEBIAN)?),
            Images::Small => None,
        };
        if let Some(python) = stand_in::debian::PYTHON.kept() {
            let image = stand_in::push_python(open, python)?;
            state.variables.insert("BOXWRIGHT_TEST_PYTHON".to_owned(), image);
        }
        let map = stand_in::push(open, debian.as_ref())?;
        progress("images that stand in for those of the internet are pushed").map_err(gone)?;
        state.variables.insert(MAP.to_owned(), map);
    }
    progress(&format!("all is ready after {} ms", begin.elapsed().as_millis())).map_err(gone)?;
    state.write(layout)
}

fn note_registries(registries: &Registries, layout: &Layout, state: &mut State) {
    let mut note = |name: &str, value: String| {
        state.variables.insert(name.to_owned(), value);
    };
    for (name, address) in &registries.addresses {
        note(&format!("BOXWRIGHT_TEST_REGISTRY_{}", name.to_uppercase()), address.clone());
    }
    note("BOXWRIGHT_TEST_REGISTRY_USER", USER.to_owned());
    note("BOXWRIGHT_TEST_REGISTRY_PASSWORD", PASSWORD.to_owned());
    if !registries.tls.is_empty() {
        note("BOXWRIGHT_TEST_REGISTRY_CA", registries.authority.display().to_string());
    }
    // Made by whoever builds first, and gone with the environment.
    note("BOXWRIGHT_STORE", layout.path("store").display().to_string());
    note("BOXWRIGHT_TEST_ENVIRONMENT", layout.folder().display().to_string());
}
