//! Programs that connect a network namespace to the world, without rights over the machine's own network.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where the name server of such a network is. Source: slirp4netns, manual page.
pub(super) const NAME_SERVER: &str = "10.0.2.3";

/// The network's device, by the name that it has in a container of any engine.
const DEVICE: &str = "eth0";

/// What these programs need to be let open.
const TUNNEL: &str = "/dev/net/tun";

/// What is said where there is neither of them.
const NOT_INSTALLED: &str = "neither `pasta` (of the package `passt`) nor `slirp4netns` is installed; one of them \
                             would give it its own";

/// Starts `pasta`, which cannot hear that whoever started it is gone: a shell hears it, and kills it. Its own standard
/// input is the namespace, standard error what is open as long as the program is to run.
const UNTIL_HANGUP: &str =
    r#"exec 3<&0; "$@" <&3 2>&1 3<&- & exec >&- <&- 3<&-; read -r end <&2; kill -9 $!"#;

/// How a program is started.
type Start = fn(&Path, &File) -> io::Result<Connection>;

/// The programs, the one that is preferred first: it is faster, and the younger.
const PROGRAMS: [(&str, Start); 2] = [("pasta", pasta), ("slirp4netns", slirp4netns)];

/// A program that connects a namespace. It ends with the value, and with this process.
#[derive(Debug)]
pub(super) struct Connection {
    program: Child,
    alive: Option<OwnedFd>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.alive.take());
        let _ = self.program.wait();
    }
}

/// Connects the network namespace `space`, or says why that cannot be done, as a clause.
pub(super) fn connect(space: &File) -> Result<Connection, String> {
    let mut reasons = Vec::new();
    for (name, start) in PROGRAMS {
        let Some(program) = find(name) else { continue };
        // The programs say so only on a terminal.
        let tunnel = File::options().read(true).write(true).open(TUNNEL);
        drop(tunnel.map_err(|error| format!("`{TUNNEL}` cannot be opened: {error}"))?);
        match start(&program, space) {
            Ok(connection) => return Ok(connection),
            Err(error) => reasons.push(format!("`{name}` cannot connect it: {error}")),
        }
    }
    if reasons.is_empty() { Err(NOT_INSTALLED.to_owned()) } else { Err(reasons.join("; ")) }
}

/// Source: passt 2023_03_09, manual page.
#[expect(
    clippy::disallowed_methods,
    reason = "its environment is empty, and its descriptors are these"
)]
fn pasta(program: &Path, space: &File) -> io::Result<Connection> {
    let shell =
        find("sh").ok_or_else(|| io::Error::other("it needs a shell, and none is there"))?;
    let (ready, tell_ready) = io::pipe()?;
    let (hear_end, alive) = io::pipe()?;
    let started = Command::new(shell)
        .args(["-c", UNTIL_HANGUP, "sh"])
        .arg(program)
        .args(["--foreground", "--quiet", "--stderr", "--config-net", "--no-netns-quit"])
        // Root alone may enter the namespace: that of this machine, or the user in a namespace.
        .args(["--runas", "0", "--netns-only", "--netns", "/proc/self/fd/0"])
        // The same network as that of slirp4netns, and nothing of this machine's loopback.
        .args([
            "--ipv4-only",
            "--address",
            "10.0.2.100",
            "--netmask",
            "24",
            "--gateway",
            "10.0.2.2",
        ])
        .args(["--no-map-gw", "-t", "none", "-u", "none", "-T", "none", "-U", "none"])
        .args(["--dns-forward", NAME_SERVER, "--ns-ifname", DEVICE, "--mtu", "65520"])
        // It writes its number when it is ready.
        .args(["--pid", "/proc/self/fd/1"])
        .env_clear()
        .stdin(Stdio::from(space.try_clone()?))
        .stdout(Stdio::from(OwnedFd::from(tell_ready)))
        .stderr(Stdio::from(OwnedFd::from(hear_end)))
        .spawn()?;
    let connection = Connection { program: started, alive: Some(alive.into()) };
    let mut said = "it ended early".to_owned();
    for line in BufReader::new(ready).lines() {
        let line = line?;
        if !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(connection);
        }
        said = line;
    }
    Err(io::Error::other(said))
}

/// Source: slirp4netns 1.2, manual page.
#[expect(
    clippy::disallowed_methods,
    reason = "its environment is empty, and its descriptors are these"
)]
fn slirp4netns(program: &Path, space: &File) -> io::Result<Connection> {
    let (mut ready, tell_ready) = io::pipe()?;
    let (hear_end, alive) = io::pipe()?;
    let started = Command::new(program)
        .args(["--configure", "--mtu=65520", "--disable-host-loopback"])
        .args(["--netns-type=path", "--ready-fd=0", "--exit-fd=2"])
        .arg(format!("/proc/{}/fd/{}", std::process::id(), space.as_raw_fd()))
        .arg(DEVICE)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(tell_ready)))
        .stdout(Stdio::null())
        .stderr(Stdio::from(OwnedFd::from(hear_end)))
        .spawn()?;
    let mut connection = Connection { program: started, alive: Some(alive.into()) };
    match ready.read(&mut [0]) {
        Ok(1) => Ok(connection),
        _ => Err(io::Error::other(format!("it ended with {}", connection.program.wait()?))),
    }
}

/// Finds a program where systems keep them: the environment of the worker says nothing.
fn find(program: &str) -> Option<PathBuf> {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    folders.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}
