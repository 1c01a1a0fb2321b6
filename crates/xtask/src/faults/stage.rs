//! An environment to break, a home, and this program in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::expect;
use crate::environment::Environment;
use crate::environment::processes::Process;
use crate::environment::start::Images;
use crate::http::{self, Request};
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, last_lines};

/// How long anything may take that must not take forever.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often it is looked at meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a fault happens.
pub(super) struct Stage {
    environment: Environment,
    boxwright: PathBuf,
    home: TempDir,
}

/// A run of this program that has not ended.
pub(super) struct Running {
    child: Child,
    log: PathBuf,
}

/// A run of this program.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    /// What it wrote to both outputs.
    pub(super) text: String,
}

impl Stage {
    pub(super) fn open(setups: &[&str], disk: Option<u32>, boxwright: &Path) -> Result<Self> {
        let setups: Vec<String> = setups.iter().map(|name| (*name).to_owned()).collect();
        let environment = Environment::up_on(&setups, Images::Small, disk)?;
        let home = tempfile::Builder::new().prefix("boxwright-fault-").tempdir_in("/var/tmp");
        let home = home.explain(|| "cannot make a folder in /var/tmp".to_owned())?;
        let stage = Self { environment, boxwright: boxwright.to_owned(), home };
        stage.folder("tmp")?;
        Ok(stage)
    }

    pub(super) fn close(self) -> Result<()> {
        self.environment.down()
    }

    /// Returns a variable of the environment.
    pub(super) fn variable(&self, name: &str) -> Result<&str> {
        let found = self.environment.variables.get(name).map(String::as_str);
        found.ok_or_else(|| Problem::new(format!("the environment has no {name}")))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path).explain(|| format!("cannot make `{}`", path.display()))?;
        Ok(path)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(name);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(&path))
                .and_then(|()| fs::write(&path, content))
        };
        write().explain(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }

    /// Writes a context with this Dockerfile after `FROM`.
    pub(super) fn context(&self, rest: &str) -> Result<()> {
        let base = self.variable("BOXWRIGHT_TEST_BASE")?;
        self.write("app/Dockerfile", format!("FROM {base}\n{rest}")).map(drop)
    }

    /// Returns this program with `arguments`, pointed at the environment.
    pub(super) fn boxwright(&self, arguments: &[&str]) -> Program {
        let program = Program::new(&self.boxwright).args(arguments).in_folder(self.home.path());
        let program =
            program.variable("HOME", self.home.path()).variable("TMPDIR", self.path("tmp"));
        self.environment.point(program)
    }

    /// Runs this program to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<Ended> {
        self.start(self.boxwright(arguments))?.end()
    }

    /// Runs it, and fails unless it succeeds.
    pub(super) fn succeed(&self, arguments: &[&str]) -> Result<String> {
        let ended = self.run(arguments)?;
        expect(ended.code == Some(0), || {
            format!("`{}` ended with {ended:?}", arguments.join(" "))
        })?;
        Ok(ended.text)
    }

    /// Starts it.
    pub(super) fn start(&self, program: Program) -> Result<Running> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = self.path(&format!("log-{number}"));
        let file = File::create(&log).explain(|| format!("cannot write `{}`", log.display()))?;
        Ok(Running { child: program.start_silently(file)?, log })
    }

    /// Returns the process of the daemon whose program is called `name`.
    pub(super) fn daemon(&self, name: &str) -> Result<Process> {
        let daemons = self.environment.daemons();
        let named = |process: &&Process| {
            let comm = fs::read_to_string(format!("/proc/{}/comm", process.pid));
            comm.is_ok_and(|comm| name.starts_with(comm.trim()) && !comm.trim().is_empty())
        };
        let found = daemons.iter().find(named).copied();
        found.ok_or_else(|| Problem::new(format!("`{name}` does not run")))
    }

    /// Ends a daemon at once, and waits for that.
    pub(super) fn kill(&self, name: &str) -> Result<()> {
        let daemon = self.daemon(name)?;
        daemon.signal(Signal::KILL);
        expect(daemon.wait(PATIENCE), || format!("`{name}` does not end"))
    }

    /// Asks the daemon on the unix socket in `variable` for `path`.
    pub(super) fn ask(&self, variable: &str, path: &str) -> Result<Value> {
        let socket = self.variable(variable)?.trim_start_matches("unix://").to_owned();
        let answer = http::over_unix(Path::new(&socket), &Request::get(path));
        let answer = answer.explain(|| format!("cannot ask {socket} for {path}"))?;
        serde_json::from_slice(&answer.body)
            .explain(|| format!("cannot read {socket}'s answer to {path}"))
    }

    /// Fails unless this program left nothing in its folder for temporary files.
    pub(super) fn nothing_temporary(&self) -> Result<()> {
        let left = fs::read_dir(self.path("tmp")).into_iter().flatten().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        expect(left.is_empty(), || format!("temporary files were left: {left:?}"))
    }
}

impl Running {
    /// Waits until it has written `text`.
    pub(super) fn wait_for(&mut self, text: &str) -> Result<()> {
        let holds = until(|| self.text().contains(text) || self.has_ended());
        let written = self.text();
        expect(holds && written.contains(text), || {
            format!("it did not come to `{text}`:\n{}", last_lines(&written, 20))
        })
    }

    pub(super) fn text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Kills it, with no chance to clean up.
    pub(super) fn kill(mut self) -> Result<()> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.explain(|| "cannot kill this program".to_owned()).map(drop)
    }

    /// Interrupts it, and fails unless it cleans up and says so.
    pub(super) fn interrupt(self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let sent = pid.map(|pid| kill_process(pid, Signal::INT));
        sent.transpose().explain(|| "cannot interrupt this program".to_owned())?;
        let ended = self.end()?;
        expect(ended.code == Some(130), || format!("it must end with exit code 130: {ended:?}"))
    }

    /// Waits for its end.
    pub(super) fn end(mut self) -> Result<Ended> {
        let ended = until(|| self.has_ended());
        let text = self.text();
        if !ended {
            // Asked first, so that it cleans up.
            if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::INT);
            }
            if !until(|| self.has_ended()) {
                let _ = self.child.kill();
            }
        }
        let status = self.child.wait().explain(|| "cannot wait for this program".to_owned())?;
        expect(ended, || format!("it did not end:\n{}", last_lines(&text, 20)))?;
        Ok(Ended { code: status.code(), text: self.text() })
    }
}

impl Ended {
    /// Fails unless it failed as a failure must: with exit code 1, all of `words`, and a remedy.
    pub(super) fn failed_with(&self, words: &[&str]) -> Result<()> {
        let missing = words.iter().find(|word| !self.text.contains(**word));
        let good = self.code == Some(1) && missing.is_none() && self.text.contains("\nhelp: ");
        expect(good, || {
            let end = last_lines(&self.text, 20);
            format!(
                "it must end with exit code 1, with {words:?} and a remedy; it was {:?}:\n{end}",
                self.code
            )
        })
    }
}

/// Waits until `holds`, and returns whether it came to that.
pub(super) fn until(mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if holds() {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}
