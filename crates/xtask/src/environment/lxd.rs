//! An LXD of its own, beside any that the user has: with a pool, a network, and a profile that has both.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::daemon::{Daemon, Ready, disk, tied};
use super::docker::need_folder;
use super::layout::Layout;
use super::network;
use super::setup::Lxd;
use super::state::State;
use crate::http::{self, Request};
use crate::problem::{Explain, Problem, Result};

/// Where LXC keeps its locks, whatever LXD's folder is; it gets an empty one of its own.
const HIDDEN: &str = "/run/lxc";
/// The name of pool and profile.
const DEFAULT: &str = "default";
/// A proxy that nothing listens on: the daemon looks lists of public images up otherwise.
const NO_PROXY: &str = "http://127.0.0.1:9";

/// Starts the daemon. It has nothing to keep or connect instances with until [`configure`].
pub(crate) fn start(name: &str, layout: &Layout, state: &mut State) -> Result<Daemon> {
    let folder = layout.path("lxd");
    fs::create_dir_all(&folder).explain(|| format!("cannot make `{}`", folder.display()))?;
    need_folder(Path::new(HIDDEN), layout, state)?;
    let mut mounts = vec![format!("hide={HIDDEN}")];
    mounts.extend(disk(&folder.join("storage-pools"), state)?);
    let program = tied(&mounts, "lxd")
        .args(["--group", "root"])
        .variable("LXD_DIR", &folder)
        .variable("HOME", &folder)
        .variable("http_proxy", NO_PROXY)
        .variable("https_proxy", NO_PROXY);
    state.variables.insert("LXD_DIR".to_owned(), folder.display().to_string());
    let ready = Ready::Socket(folder.join("unix.socket"), "/internal/ready");
    Daemon::start(name, program, ready, layout, state)
}

/// Gives the daemon a pool, a network, and a default profile that has both.
pub(crate) fn configure(setup: &Lxd, layout: &Layout, state: &mut State) -> Result<()> {
    let socket = layout.path("lxd/unix.socket");
    let bridge = layout.bridge('l');
    let prefix = network::claim_subnet(&bridge, layout, state)?;
    let pool = json!({ "name": DEFAULT, "driver": setup.pool });
    send(&socket, "POST", "/1.0/storage-pools", &pool)?;
    let network = json!({
        "name": bridge,
        "type": "bridge",
        "config": {
            "ipv4.address": format!("{prefix}.1/24"),
            "ipv4.nat": "true",
            "ipv6.address": "none",
        },
    });
    send(&socket, "POST", "/1.0/networks", &network)?;
    let profile = json!({
        "config": {},
        "description": "",
        "devices": {
            "root": { "type": "disk", "path": "/", "pool": DEFAULT },
            "eth0": { "type": "nic", "network": bridge, "name": "eth0" },
        },
    });
    send(&socket, "PUT", &format!("/1.0/profiles/{DEFAULT}"), &profile)
}

fn send(socket: &Path, method: &str, target: &str, value: &Value) -> Result<()> {
    let message = || format!("cannot set LXD up: {method} {target}");
    let body = value.to_string();
    let content_type = Some("application/json");
    let request = Request { method, target, content_type, body: body.as_bytes() };
    let answer = http::over_unix(socket, &request).explain(message)?;
    if matches!(answer.status, 200 | 201) {
        return Ok(());
    }
    Err(Problem::new(message()).cause(String::from_utf8_lossy(&answer.body).trim()))
}

/// Returns the names of the instances that the daemon of this environment has had and not removed.
pub(crate) fn instances(layout: &Layout) -> Vec<String> {
    let names = fs::read_dir(layout.path("lxd/containers")).into_iter().flatten().flatten();
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
