//! A `dockerd` of its own, beside any that the user has.

use std::fs;
use std::path::Path;

use super::daemon::{Daemon, Ready, disk, tied};
use super::layout::Layout;
use super::network;
use super::registry::Registries;
use super::setup::Docker;
use super::state::State;
use crate::problem::{Explain, Result};

/// Folders that `dockerd` or its containerd uses whatever it is told; it gets empty ones of its own.
const HIDDEN: &[&str] = &["/run/docker", "/run/containerd", "/opt/containerd"];
/// Where it looks for certificates of registries and keeps its key; it gets a folder of ours there.
const SETTINGS: &str = "/etc/docker";

/// Starts `dockerd`.
pub(crate) fn start(
    name: &str,
    setup: &Docker,
    registries: &Registries,
    layout: &Layout,
    state: &mut State,
) -> Result<Daemon> {
    let folder = layout.path("docker");
    let settings = folder.join("etc");
    for registry in &registries.tls {
        trust(&settings.join("certs.d").join(registry), &registries.authority)?;
    }
    let config = folder.join("daemon.json");
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&settings)?;
        fs::write(&config, serde_json::to_vec_pretty(&setup.daemon)?)
    };
    write().explain(|| format!("cannot write `{}`", config.display()))?;

    let mut mounts = vec![format!("bind={}={SETTINGS}", settings.display())];
    need_folder(Path::new(SETTINGS), layout, state)?;
    for hidden in HIDDEN {
        need_folder(Path::new(hidden), layout, state)?;
        mounts.push(format!("hide={hidden}"));
    }
    mounts.extend(disk(&folder.join("data"), state)?);
    let bridge = layout.bridge('d');
    network::make_bridge(&bridge, layout, state)?;

    let socket = layout.socket("docker");
    let program = tied(&mounts, "dockerd")
        .arg(format!("--host=unix://{}", socket.display()))
        .arg(format!("--data-root={}", folder.join("data").display()))
        .arg(format!("--exec-root={}", folder.join("exec").display()))
        .arg(format!("--pidfile={}", folder.join("pid").display()))
        .arg(format!("--config-file={}", config.display()))
        .arg(format!("--bridge={bridge}"))
        .arg(format!("--cgroup-parent={}", layout.cgroup()))
        .arg("--exec-opt=native.cgroupdriver=cgroupfs")
        .args(&setup.arguments)
        .variable("HOME", &folder);
    state.variables.insert("DOCKER_HOST".to_owned(), format!("unix://{}", socket.display()));
    Daemon::start(name, program, Ready::Socket(socket, "/_ping"), layout, state)
}

/// Makes the certificate of `authority` the one that the registry of `folder` is verified with.
pub(crate) fn trust(folder: &Path, authority: &Path) -> Result<()> {
    let copy = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::copy(authority, folder.join("ca.crt")).map(drop)
    };
    copy().explain(|| format!("cannot write into `{}`", folder.display()))
}

/// Makes sure that something can be mounted at `folder`, and notes if it was made for that and will stay.
pub(crate) fn need_folder(folder: &Path, layout: &Layout, state: &mut State) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    // What is in /run is gone with the next start of the machine, and a daemon may come to use it meanwhile.
    if !folder.starts_with("/run") {
        state.made_folders.push(folder.to_owned());
        state.write(layout)?;
    }
    fs::create_dir_all(folder).explain(|| format!("cannot make `{}`", folder.display()))
}
