//! The first process of an instance that was launched from a published image: sets up what a container has, starts the image's
//! program, reaps, passes signals on, and ends when the program does.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use boxwright_core::{Error, ErrorKind, Host, Result};
use rustix::mount::MountFlags;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use rustix::thread::{Gid, Uid};
use tokio::signal::unix::{Signal as Received, SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

use super::image::Config;
use super::network::{self, write_whole};
use crate::execute::Executable;
use crate::failure::system;
use crate::syscalls;
use crate::user::User;

/// How long the program waits for an address. After that it starts without one.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a program has to end that was asked to. Source: `docker stop`.
const GRACE: Duration = Duration::from_secs(10);

/// The signals that are passed on as they come. What LXD asks an instance to end with is not among them.
const PASSED: [i32; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTERM,
    libc::SIGWINCH,
];

/// Starts the program of `config`, and waits for its end. The calling process has one thread.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when the image names no program or a user that it does not have,
/// [`ErrorKind::BuildFailed`] when the program ends with another exit code than 0.
pub(crate) fn launch(config: &Config, host: &Host) -> Result<()> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    set_up(&name);
    let program = Program::new(config, host, &name)?;
    let fail = |error: io::Error| system("cannot start the image's program", error);
    // Before there is a second thread: only such a process can fork.
    let (gate, opener) = UnixStream::pair().map_err(fail)?;
    let Some(child) = syscalls::fork().map_err(fail)? else {
        drop(opener);
        become_program(&program, gate);
    };
    drop(gate);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let status = runtime
        .and_then(|runtime| runtime.block_on(supervise(child, opener, config.stop_signal(), name)))
        .map_err(fail)?;
    match status {
        0 => Ok(()),
        status => Err(Error::new(
            ErrorKind::BuildFailed,
            format!("the image's program ended with exit code {status}"),
        )),
    }
}

/// Makes what a container finds and LXC does not make. Without it most programs run all the same.
fn set_up(name: &str) {
    if let Err(error) = syscalls::loopback_up() {
        warn(&format!("cannot turn on the loopback: {error}"));
    }
    let hosts = Path::new("/etc/hosts");
    if hosts.metadata().map_or(true, |found| found.len() == 0) {
        let text = format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n");
        if let Err(error) = write_whole(hosts, &text) {
            warn(&format!("cannot write `/etc/hosts`: {error}"));
        }
    }
    let shared = Path::new("/dev/shm");
    if !shared.exists() {
        let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
        let made = std::fs::create_dir(shared).and_then(|()| {
            Ok(rustix::mount::mount("shm", shared, "tmpfs", flags, c"mode=1777,size=65536k")?)
        });
        if let Err(error) = made {
            warn(&format!("cannot make `/dev/shm`: {error}"));
        }
    }
}

/// The program, and as whom and where it runs.
#[derive(Debug)]
struct Program {
    executable: Executable,
    user: User,
    folder: String,
}

impl Program {
    fn new(config: &Config, host: &Host, name: &str) -> Result<Self> {
        let user = User::find(&config.user)?;
        let mut environment: BTreeMap<String, String> =
            config.environment(host.variables()).into_iter().collect();
        environment.entry("HOME".to_owned()).or_insert_with(|| user.home.clone());
        environment.entry("HOSTNAME".to_owned()).or_insert_with(|| name.to_owned());
        let executable = Executable::new(&config.command(), environment)?;
        Ok(Self { executable, user, folder: config.working_dir.clone() })
    }

    /// Takes what only root may have, and enters the working directory, which is made if it is missing.
    fn prepare(&self) -> io::Result<()> {
        rustix::process::setsid()?;
        // So that a shell has a terminal. Somebody else may have it.
        let _ = rustix::process::ioctl_tiocsctty(rustix::stdio::stdin());
        syscalls::default_signals()?;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let (uid, gid) = (Uid::from_raw(self.user.uid), Gid::from_raw(self.user.gid));
        // Outputs that a user may open again by `/dev/stdout`.
        for output in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
            let _ = rustix::fs::fchown(output, Some(uid), None);
        }
        let folder = Path::new("/").join(&self.folder);
        std::fs::create_dir_all(&folder)?;
        std::env::set_current_dir(&folder)?;
        let groups: Vec<_> = self.user.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        rustix::thread::set_thread_groups(&groups)?;
        rustix::thread::set_thread_res_gid(Some(gid), Some(gid), Some(gid))?;
        rustix::thread::set_thread_res_uid(Some(uid), Some(uid), Some(uid))?;
        Ok(())
    }
}

/// Becomes the program once `gate` is opened. One that closes means that there is none to be.
fn become_program(program: &Program, mut gate: UnixStream) -> ! {
    if gate.read_exact(&mut [0]).is_err() {
        syscalls::exit_now(0)
    }
    drop(gate);
    if let Err(error) = program.prepare() {
        warn(&format!("cannot start the image's program: {error}"));
        syscalls::exit_now(126)
    }
    syscalls::exit_now(program.executable.run())
}

/// Waits until the program has ended, and returns its exit status: 0 if it was asked to end, and 128 more than the signal's number
/// if it was ended by a signal otherwise.
async fn supervise(
    child: Pid,
    opener: UnixStream,
    stop_signal: Signal,
    name: String,
) -> io::Result<i32> {
    let mut children = signal(SignalKind::child())?;
    let mut halt = signal(SignalKind::from_raw(libc::SIGPWR))?;
    let mut passed = passed()?;
    let mut opener = Some(opener);
    // It goes on when nobody waits any more.
    let mut network = pin!(timeout(PATIENCE, tokio::spawn(network::set_up(name, warn))));
    let mut end: Option<Instant> = None;
    loop {
        let last = end.unwrap_or_else(Instant::now);
        tokio::select! {
            done = &mut network, if opener.is_some() => {
                if done.is_err() {
                    warn("no address after 10 seconds; the program starts without one");
                }
                if let Some(mut opener) = opener.take() {
                    opener.write_all(&[1])?;
                }
            }
            _ = children.recv() => {
                if let Some(status) = reap(child) {
                    // One that was asked to end did so.
                    return Ok(if end.is_some() { 0 } else { status });
                }
            }
            number = next(&mut passed) => pass(child, number),
            _ = halt.recv() => {
                // One that has not begun never does.
                drop(opener.take());
                let _ = kill_process(child, stop_signal);
                end.get_or_insert(Instant::now() + GRACE);
            }
            // With the first process, all others end.
            () = sleep_until(last), if end.is_some() => return Ok(128 + libc::SIGKILL),
        }
    }
}

fn passed() -> io::Result<Vec<(i32, Received)>> {
    PASSED.iter().map(|&number| Ok((number, signal(SignalKind::from_raw(number))?))).collect()
}

/// Waits for the next signal that is to be passed on.
async fn next(passed: &mut [(i32, Received)]) -> i32 {
    poll_fn(|context| {
        for (number, received) in passed.iter_mut() {
            if received.poll_recv(context).is_ready() {
                return Poll::Ready(*number);
            }
        }
        Poll::Pending
    })
    .await
}

fn pass(child: Pid, number: i32) {
    if let Some(signal) = Signal::from_named_raw(number) {
        // One that has just ended is reaped next.
        let _ = kill_process(child, signal);
    }
}

/// Reaps all that have ended, and returns the exit status of `child` if it is among them.
fn reap(child: Pid) -> Option<i32> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child {
            let signalled = status.terminating_signal().map(|signal| 128 + signal);
            ended = status.exit_status().or(signalled);
        }
    }
    ended
}

/// Says something on the console.
fn warn(text: &str) {
    let line = format!("warning: {text}\n");
    let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_with_the_images_user_and_variables() {
        let config = r#"{"Entrypoint":["sh"],"Env":["A=1"],"User":"0","WorkingDir":"srv/app"}"#;
        let config: Config = serde_json::from_str(config).unwrap();
        let host = Host::with_variables("/", [("B", "2"), ("HOME", "/lxc")]);
        let program = Program::new(&config, &host, "web").unwrap();
        assert_eq!((program.user.uid, program.folder.as_str()), (0, "srv/app"));
        let shown = format!("{:?}", program.executable);
        for variable in ["\"A=1\"", "\"B=2\"", "\"HOSTNAME=web\""] {
            assert!(shown.contains(variable), "{shown}");
        }
        assert!(!shown.contains("HOME=/lxc"), "{shown}");
        let none = Program::new(&Config::default(), &host, "web").unwrap_err();
        assert_eq!(none.causes(), ["it is empty"]);
    }

    #[test]
    fn signals_that_are_passed_on_have_names() {
        assert!(PASSED.iter().all(|&number| Signal::from_named_raw(number).is_some()));
    }
}
