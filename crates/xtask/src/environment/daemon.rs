//! One daemon of an environment: started, then waited for.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{WaitOptions, waitpid};

use super::layout::Layout;
use super::processes::{MARK, Process};
use super::state::State;
use crate::http::{self, Request};
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, last_lines};

/// How long a daemon may take until it answers.
const PATIENCE: Duration = Duration::from_secs(90);

/// What shows that a daemon is ready.
#[derive(Debug)]
pub(crate) enum Ready {
    /// This path answers 200 on this socket.
    Socket(PathBuf, &'static str),
    /// This path of this address answers with any of these.
    Answer(String, &'static str, &'static [u16]),
    /// This socket accepts connections.
    Connect(PathBuf),
    /// This address accepts connections.
    Accept(String),
}

impl Ready {
    fn holds(&self) -> bool {
        match self {
            Self::Socket(socket, path) => http::over_unix(socket, &Request::get(path))
                .is_ok_and(|answer| answer.status == 200),
            Self::Answer(address, path, statuses) => http::over_tcp(address, &Request::get(path))
                .is_ok_and(|answer| statuses.contains(&answer.status)),
            Self::Connect(socket) => UnixStream::connect(socket).is_ok(),
            Self::Accept(address) => TcpStream::connect(address).is_ok(),
        }
    }
}

/// A daemon that was started and may not answer yet.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: String,
    process: Process,
    log: PathBuf,
    ready: Ready,
    start: Instant,
}

impl Daemon {
    /// Starts `program`, which ends with the supervisor, and notes it in `state`.
    ///
    /// The kernel ties the daemon's life to the calling thread, so that has to be the supervisor's main one.
    pub(crate) fn start(
        name: &str,
        program: Program,
        ready: Ready,
        layout: &Layout,
        state: &mut State,
    ) -> Result<Self> {
        let log = layout.log(name);
        let pid = program.variable(MARK, layout.folder()).start_daemon(&log)?;
        let pid = pid.as_raw_nonzero().get();
        let process = Process::of(pid)
            .ok_or_else(|| Problem::new(format!("cannot find the process of {name}")))?;
        state.daemons.push(process);
        state.write(layout)?;
        Ok(Self { name: name.to_owned(), process, log, ready, start: Instant::now() })
    }

    /// Waits until it answers, and returns how long it took.
    pub(crate) fn wait(self) -> Result<(String, Duration)> {
        let pid = rustix::process::Pid::from_raw(self.process.pid);
        while !self.ready.holds() {
            let ended = waitpid(pid, WaitOptions::NOHANG)
                .explain(|| format!("cannot watch {}", self.name))?;
            if ended.is_some() {
                return Err(self.problem("it ended at once"));
            }
            if self.start.elapsed() > PATIENCE {
                return Err(self.problem(&format!("no answer in {} s", PATIENCE.as_secs())));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok((self.name, self.start.elapsed()))
    }

    fn problem(&self, what: &str) -> Problem {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        Problem::new(format!("cannot bring up {}", self.name))
            .cause(what)
            .cause(format!("the end of its log:\n{}", last_lines(&log, 8)))
    }
}

/// Returns the mount that keeps an engine's data in `folder` on a disk of its own, if the environment is to have such.
pub(crate) fn disk(folder: &Path, state: &State) -> Result<Option<String>> {
    let Some(megabytes) = state.disk else { return Ok(None) };
    fs::create_dir_all(folder).explain(|| format!("cannot make `{}`", folder.display()))?;
    Ok(Some(format!("disk={}={megabytes}m", folder.display())))
}

/// Returns `program` under a wrapper that ends it when the thread that started it ends.
///
/// `mounts` are carried out before in a mount namespace of its own, in the language of `namespace.sh`; if there are
/// none, it stays in the namespace of this program.
pub(crate) fn tied(mounts: &[String], program: &str) -> Program {
    // The signal lets an engine end its containers; a kill would leave them.
    let tied = Program::without_environment("setpriv").args(["--pdeathsig", "TERM", "--"]);
    if mounts.is_empty() {
        return tied.arg(program);
    }
    tied.args(["unshare", "--mount", "--propagation", "private", "sh", "-c"])
        .args([include_str!("namespace.sh"), "namespace"])
        .args(mounts)
        .args(["--", program])
}
