//! Networks of steps: one of its own, through `slirp4netns`, is kept for the next step.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::thread::UnshareFlags;

use crate::syscalls;

/// Where the name server of such a network is. Source: slirp4netns, manual page.
pub(super) const NAME_SERVER: &str = "10.0.2.3";

const PROGRAM: &str = "slirp4netns";

/// The network's device, by the name that it has in a container of any engine.
const DEVICE: &str = "eth0";

/// What that needs to be let open.
const TUNNEL: &str = "/dev/net/tun";

/// A network namespace that is connected to the world by a program.
#[derive(Debug)]
pub(crate) struct OwnNetwork {
    space: File,
    program: Child,
    /// Open as long as the program is to run. It ends with this process too.
    _alive: OwnedFd,
}

impl OwnNetwork {
    /// Makes one, or says why there is none, as a clause.
    fn make() -> Result<Self, String> {
        let program = find(PROGRAM)
            .ok_or_else(|| format!("`{PROGRAM}` is not installed, which would give it its own"))?;
        // The program says why only on a terminal.
        let device = File::options().read(true).write(true).open(TUNNEL);
        drop(device.map_err(|error| format!("`{TUNNEL}` cannot be opened: {error}"))?);
        let made = std::thread::spawn(|| -> std::io::Result<File> {
            // The namespace of this one thread, kept by the file.
            syscalls::unshare(UnshareFlags::NEWNET)?;
            syscalls::loopback_up()?;
            File::open("/proc/thread-self/ns/net")
        });
        let space = made
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("its thread ended early")))
            .map_err(|error| format!("a network namespace cannot be made: {error}"))?;
        let fail = |error: std::io::Error| format!("`{PROGRAM}` cannot be started: {error}");
        let (mut ready, tell_ready) = std::io::pipe().map_err(fail)?;
        let (hear_end, alive) = std::io::pipe().map_err(fail)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), space.as_raw_fd());
        #[expect(
            clippy::disallowed_methods,
            reason = "its environment is empty, and its descriptors are these"
        )]
        let program = Command::new(program)
            .args(["--configure", "--mtu=65520", "--disable-host-loopback"])
            .args(["--netns-type=path", "--ready-fd=0", "--exit-fd=2"])
            .args([&path, DEVICE])
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(tell_ready)))
            .stdout(Stdio::null())
            .stderr(Stdio::from(OwnedFd::from(hear_end)))
            .spawn()
            .map_err(fail)?;
        let mut network = Self { space, program, _alive: alive.into() };
        match ready.read(&mut [0]) {
            Ok(1) => Ok(network),
            _ => {
                let status = network.program.wait().map_err(fail)?;
                Err(format!("`{PROGRAM}` ended with {status}"))
            }
        }
    }

    /// Returns a path by which a child of this process can enter it.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.space.as_raw_fd()))
    }
}

impl Drop for OwnNetwork {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Networks that no step uses. Nothing of a step stays in one: its processes are gone, and it may not set up
/// a network.
#[derive(Debug, Default)]
pub(crate) struct Networks(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    free: Vec<OwnNetwork>,
    /// Why there are none. It is not tried again.
    refused: Option<String>,
}

impl Networks {
    /// Takes one, or makes one, or says why there is none.
    pub(super) fn take(&self) -> Result<OwnNetwork, String> {
        {
            let mut known = self.lock();
            if let Some(network) = known.free.pop() {
                return Ok(network);
            }
            if let Some(reason) = &known.refused {
                return Err(reason.clone());
            }
        }
        OwnNetwork::make().inspect_err(|reason| self.lock().refused = Some(reason.clone()))
    }

    /// Keeps one for the next step.
    pub(super) fn give_back(&self, network: OwnNetwork) {
        self.lock().free.push(network);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds a program where systems keep them: the environment of the worker says nothing.
fn find(program: &str) -> Option<PathBuf> {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    folders.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

/// Returns the name servers that a step with the worker's network asks.
pub(super) fn resolv_conf(own: bool) -> Vec<u8> {
    let host = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    if !own {
        return host;
    }
    let mut lines = format!("nameserver {NAME_SERVER}\n");
    for line in String::from_utf8_lossy(&host).lines() {
        let word = line.split_whitespace().next();
        if matches!(word, Some("search" | "domain" | "options")) {
            lines += line;
            lines.push('\n');
        }
    }
    lines.into_bytes()
}

/// Returns the address by which this machine reaches others.
pub(super) fn own_address() -> Option<std::net::IpAddr> {
    // No packet is sent: the kernel only chooses a route.
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
