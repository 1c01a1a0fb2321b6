//! A `containerd` of its own, beside any that the user or Docker has.

use std::fs;
use std::path::Path;

use super::daemon::{Daemon, Ready, tied};
use super::docker::need_folder;
use super::layout::Layout;
use super::setup::Containerd;
use super::state::State;
use crate::problem::{Explain, Result};

/// Folders that shims and runc use whatever containerd is told; they get empty ones of their own. The folder above
/// stays, since clients put the pipes of their containers there.
const HIDDEN: &[&str] = &["/run/containerd/s", "/run/containerd/runc"];

/// Starts `containerd`.
pub(crate) fn start(
    name: &str,
    setup: &Containerd,
    layout: &Layout,
    state: &mut State,
) -> Result<Daemon> {
    let folder = layout.path("containerd");
    let socket = layout.socket("containerd");
    let config = folder.join("config.toml");
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        let text = toml::to_string(&settings(setup, &folder, &socket));
        fs::write(&config, text.map_err(std::io::Error::other)?)
    };
    write().explain(|| format!("cannot write `{}`", config.display()))?;
    let mut mounts = Vec::new();
    for hidden in HIDDEN {
        need_folder(Path::new(hidden), layout, state)?;
        mounts.push(format!("hide={hidden}"));
    }
    let program = tied(&mounts, "containerd").arg("--config").arg(&config);
    state.variables.insert("CONTAINERD_ADDRESS".to_owned(), socket.display().to_string());
    Daemon::start(name, program.variable("HOME", &folder), Ready::Connect(socket), layout, state)
}

fn settings(setup: &Containerd, folder: &Path, socket: &Path) -> toml::Table {
    let text = |path: &Path| toml::Value::from(path.display().to_string());
    let address = |path: &Path| toml::Table::from_iter([("address".to_owned(), text(path))]);
    toml::Table::from_iter([
        ("version".to_owned(), 2.into()),
        ("root".to_owned(), text(&folder.join("root"))),
        ("state".to_owned(), text(&folder.join("state"))),
        ("disabled_plugins".to_owned(), setup.disabled_plugins.clone().into()),
        ("grpc".to_owned(), address(socket).into()),
        ("ttrpc".to_owned(), address(&socket.with_extension("ttrpc")).into()),
    ])
}
