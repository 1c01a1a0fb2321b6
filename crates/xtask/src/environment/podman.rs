//! A `podman system service` of its own, as root or as an ordinary user.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::process::{Resource, getrlimit};

use super::daemon::{Daemon, Ready, disk, tied};
use super::docker::{need_folder, trust};
use super::layout::Layout;
use super::network;
use super::registry::Registries;
use super::setup::{Podman, User};
use super::state::State;
use super::user::{Account, ORDINARY_USER, account};
use crate::problem::{Explain, Result};

/// Folders that every Podman of root shares: locks, network namespaces, containers that run. It gets empty ones of its own.
const HIDDEN: &[&str] = &["/dev/shm", "/run/containers", "/run/netns", "/run/runc"];
/// Hides half of a hybrid arrangement of cgroups, which runtimes take for the whole of it.
const UNIFIED: &str = "/sys/fs/cgroup/unified";
/// Devices for networks and file systems of ordinary users: name below `/dev`, major and minor number.
const DEVICES: &[(&str, u32, u32)] = &[("net/tun", 10, 200), ("fuse", 10, 229)];

/// Starts the service.
pub(crate) fn start(
    name: &str,
    setup: &Podman,
    registries: &Registries,
    layout: &Layout,
    state: &mut State,
) -> Result<Daemon> {
    match setup.user {
        User::Root => start_root(name, setup, registries, layout, state),
        User::Ordinary => start_rootless(name, setup, registries, layout, state),
    }
}

fn start_root(
    name: &str,
    setup: &Podman,
    registries: &Registries,
    layout: &Layout,
    state: &mut State,
) -> Result<Daemon> {
    let folder = layout.path("podman");
    let networks = folder.join("networks");
    let network = layout.bridge('p');
    write_settings(&folder, setup, registries, "shm", &network)?;
    write_network(&networks, &network, layout, state)?;
    let mut mounts = unified();
    for hidden in HIDDEN {
        need_folder(Path::new(hidden), layout, state)?;
        mounts.push(format!("hide={hidden}"));
    }
    mounts.extend(disk(&folder.join("graph"), state)?);
    let socket = layout.socket("podman");
    let program = settings(tied(&mounts, "podman"), &folder)
        .arg(format!("--root={}", folder.join("graph").display()))
        .arg(format!("--runroot={}", folder.join("run").display()))
        .arg(format!("--tmpdir={}", folder.join("state").display()))
        .arg(format!("--network-config-dir={}", networks.display()))
        .args(["system", "service", "--time=0"])
        .arg(format!("unix://{}", socket.display()));
    state.variables.insert("CONTAINER_HOST".to_owned(), format!("unix://{}", socket.display()));
    Daemon::start(name, program, Ready::Socket(socket, "/_ping"), layout, state)
}

fn start_rootless(
    name: &str,
    setup: &Podman,
    registries: &Registries,
    layout: &Layout,
    state: &mut State,
) -> Result<Daemon> {
    let account = account(layout, state)?;
    if !account.is_this_user() {
        let Account { name, user, group } = &account;
        state.variables.insert(ORDINARY_USER.to_owned(), format!("{name}:{user}:{group}"));
    }
    let folder = layout.path("podman-rootless");
    // The locks in shared memory are named after the user, who may run a Podman already.
    let locks = if account.is_this_user() { "file" } else { "shm" };
    write_settings(&folder, setup, registries, locks, "podman")?;
    let sockets = layout.path("run/rootless");
    let runtime = folder.join("runtime");
    let make = || -> std::io::Result<()> {
        fs::create_dir_all(&sockets)?;
        fs::create_dir_all(&runtime)?;
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700))?;
        if !account.is_this_user() {
            give(&folder, &account)?;
            chown(&sockets, Some(account.user), Some(account.group))?;
        }
        Ok(())
    };
    make().explain(|| format!("cannot prepare `{}`", folder.display()))?;

    let socket = sockets.join("podman.sock");
    let program = if account.is_this_user() {
        tied(&[], "podman")
    } else {
        let mut mounts = unified();
        mounts.extend(device_mounts(&layout.path("devices"))?);
        mounts.push("hide=/dev/shm".to_owned());
        // Changing the user resets the tie to the supervisor, so it is made again.
        tied(&mounts, "setpriv")
            .args(["--pdeathsig", "TERM", "--init-groups", "--inh-caps=-all"])
            .arg(format!("--reuid={}", account.user))
            .arg(format!("--regid={}", account.group))
            .args(["--", "podman"])
    };
    let program = settings(program, &folder)
        .variable("USER", &account.name)
        .variable("LOGNAME", &account.name)
        .variable("XDG_RUNTIME_DIR", &runtime)
        .in_folder(&folder)
        .arg(format!("--root={}", folder.join("graph").display()))
        .arg(format!("--runroot={}", folder.join("run").display()))
        .args(["system", "service", "--time=0"])
        .arg(format!("unix://{}", socket.display()));
    let address = format!("unix://{}", socket.display());
    state.variables.insert("BOXWRIGHT_TEST_PODMAN_ROOTLESS".to_owned(), address);
    Daemon::start(name, program, Ready::Socket(socket, "/_ping"), layout, state)
}

fn settings(program: crate::program::Program, folder: &Path) -> crate::program::Program {
    program
        .variable("HOME", folder.join("home"))
        .variable("TMPDIR", folder.join("tmp"))
        .variable("CONTAINERS_CONF", folder.join("containers.conf"))
        .variable("CONTAINERS_REGISTRIES_CONF", folder.join("registries.conf"))
        .variable("CONTAINERS_STORAGE_CONF", folder.join("storage.conf"))
}

/// Writes all settings, so that none of this machine's own counts.
fn write_settings(
    folder: &Path,
    setup: &Podman,
    registries: &Registries,
    locks: &str,
    network: &str,
) -> Result<()> {
    let (files, processes) = limits();
    let containers = format!(
        "[containers]\n\
         default_ulimits = [\"nofile={files}:{files}\", \"nproc={processes}:{processes}\"]\n\
         log_driver = \"k8s-file\"\n\
         pids_limit = 0\n\
         [network]\n\
         network_backend = \"netavark\"\n\
         default_network = \"{network}\"\n\
         [engine]\n\
         runtime = \"{}\"\n\
         cgroup_manager = \"cgroupfs\"\n\
         events_logger = \"file\"\n\
         lock_type = \"{locks}\"\n",
        setup.runtime
    );
    let storage = format!(
        "[storage]\ndriver = \"{}\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
        setup.storage_driver,
        folder.join("graph").display(),
        folder.join("run").display()
    );
    let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
    let home = folder.join("home/.config/containers");
    for registry in &registries.tls {
        trust(&home.join("certs.d").join(registry), &registries.authority)?;
    }
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&home)?;
        fs::create_dir_all(folder.join("tmp"))?;
        fs::write(home.join("policy.json"), policy)?;
        fs::write(folder.join("containers.conf"), containers)?;
        fs::write(folder.join("storage.conf"), storage)?;
        fs::write(folder.join("registries.conf"), registries_conf(registries))
    };
    write().explain(|| format!("cannot write into `{}`", folder.display()))
}

/// Lets Podman use plain HTTP on this machine, as Docker does, except where a registry has a certificate.
fn registries_conf(registries: &Registries) -> String {
    let mut text = "unqualified-search-registries = []\n".to_owned();
    let local = ["localhost", "127.0.0.1"].map(|host| (host, true));
    let tls = registries.tls.iter().map(|registry| (registry.as_str(), false));
    for (location, insecure) in local.into_iter().chain(tls) {
        text.push_str(&format!(
            "[[registry]]\nprefix = \"{location}\"\nlocation = \"{location}\"\ninsecure = {insecure}\n"
        ));
    }
    text
}

/// Writes the default network, with a bridge and a subnet that no other Podman has.
///
/// Its name is special too: the chain in the packet filter is called after that.
fn write_network(folder: &Path, name: &str, layout: &Layout, state: &mut State) -> Result<()> {
    state.had_netavark_chains = network::has_netavark_chains();
    let prefix = network::claim_subnet(name, layout, state)?;
    let network = serde_json::json!({
        "name": name,
        "id": layout.hash(),
        "driver": "bridge",
        "network_interface": name,
        "created": "2026-01-01T00:00:00Z",
        "subnets": [{ "subnet": format!("{prefix}.0/24"), "gateway": format!("{prefix}.1") }],
        "ipv6_enabled": false,
        "internal": false,
        "dns_enabled": false,
        "ipam_options": { "driver": "host-local" },
    });
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{name}.json")), serde_json::to_vec_pretty(&network)?)
    };
    write().explain(|| format!("cannot write into `{}`", folder.display()))
}

/// Returns the limits of open files and processes that a container can get here.
///
/// Podman asks for more than a root without all capabilities may have, and itself keeps to the largest process number.
fn limits() -> (u64, u64) {
    let largest = fs::read_to_string("/proc/sys/kernel/pid_max").ok();
    let largest = largest.and_then(|text| text.trim().parse().ok()).unwrap_or(32768);
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(1_048_576);
    let processes = getrlimit(Resource::Nproc).maximum.unwrap_or(largest).min(largest);
    (files, processes)
}

fn unified() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let hybrid = mounts.lines().any(|line| line.split(' ').nth(1) == Some(UNIFIED));
    if hybrid { vec![format!("drop={UNIFIED}")] } else { Vec::new() }
}

/// Makes devices that an ordinary user may open, for those of this machine that only root may.
fn device_mounts(folder: &Path) -> Result<Vec<String>> {
    let mut mounts = Vec::new();
    for (name, major, minor) in DEVICES {
        let real = PathBuf::from("/dev").join(name);
        let closed = real.metadata().is_ok_and(|found| found.permissions().mode() & 0o006 != 0o006);
        if !closed {
            continue;
        }
        let own = folder.join(name.replace('/', "-"));
        let make = || -> std::io::Result<()> {
            fs::create_dir_all(folder)?;
            if !own.exists() {
                let device = makedev(*major, *minor);
                mknodat(CWD, &own, FileType::CharacterDevice, Mode::from_raw_mode(0o666), device)?;
            }
            // The umask took bits away.
            fs::set_permissions(&own, fs::Permissions::from_mode(0o666))
        };
        make().explain(|| format!("cannot make the device `{}`", own.display()))?;
        mounts.push(format!("bind={}={}", own.display(), real.display()));
    }
    Ok(mounts)
}

/// Makes `account` the owner of everything below `path`.
fn give(path: &Path, account: &Account) -> std::io::Result<()> {
    chown(path, Some(account.user), Some(account.group))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), account)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Registries, registries_conf};

    #[test]
    fn only_the_registry_with_tls_is_verified() {
        let registries = Registries { tls: vec!["localhost:7".to_owned()], ..Default::default() };
        let parsed: toml::Table = toml::from_str(&registries_conf(&registries)).unwrap();
        let list = parsed["registry"].as_array().unwrap();
        let verified: Vec<_> =
            list.iter().filter(|r| r["insecure"].as_bool() == Some(false)).collect();
        assert_eq!(verified.len(), 1);
        assert_eq!(verified[0]["prefix"].as_str(), Some("localhost:7"));
    }
}
