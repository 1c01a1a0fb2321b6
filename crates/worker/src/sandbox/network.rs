//! Networks of steps: one of its own, through a program, is kept for the next step.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::thread::UnshareFlags;

use super::connect::{self, Connection, NAME_SERVER};
use crate::syscalls;

/// A network namespace that is connected to the world by a program.
#[derive(Debug)]
pub(crate) struct OwnNetwork {
    space: File,
    _connection: Connection,
}

impl OwnNetwork {
    /// Makes one, or says why there is none, as a clause.
    fn make() -> Result<Self, String> {
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
        let connection = connect::connect(&space)?;
        Ok(Self { space, _connection: connection })
    }

    /// Returns a path by which a child of this process can enter it.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.space.as_raw_fd()))
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
