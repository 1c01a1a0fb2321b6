//! Environments as a user sees them: up, down, and gone when whoever held them was killed. The registry is a stand-in,
//! so that nothing has to be installed.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests are about processes; a panic is a failed test with its place"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

/// Answers on the port of its settings file, as the real one does; the token server is what can answer here.
const REGISTRY: &str = r#"#!/bin/sh
address=$(sed -n 's/^ *addr: //p' "$2")
exec "$XTASK" token-server --address "$address" --issuer x --user x --password x --key "$KEY" --certificate "$KEY"
"#;

/// A folder with stand-ins for programs, and one for the environment.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("bin");
        fs::create_dir(&programs).unwrap();
        let xtask = env!("CARGO_BIN_EXE_boxwright-xtask");
        let key = folder.path().join("key.pem");
        let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        for (name, text) in [
            (
                "docker-registry",
                REGISTRY.replace("$XTASK", xtask).replace("$KEY", &key.display().to_string()),
            ),
            ("busybox", "#!/bin/sh\n".to_owned()),
        ] {
            let path = programs.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { folder }
    }

    fn environment(&self) -> PathBuf {
        self.folder.path().join("e")
    }

    fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_boxwright-xtask"));
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.folder.path().join("bin").display());
        command.args(arguments).arg("--dir").arg(self.environment()).env("PATH", path);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.xtask(arguments).output().unwrap()
    }

    fn kill_supervisor(&self) {
        let state = fs::read(self.environment().join("state.json")).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        let pid = state["supervisor"]["pid"].as_i64().unwrap();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        pidfd_send_signal(&handle, Signal::KILL).unwrap();
        poll(&mut [PollFd::new(&handle, PollFlags::IN)], None).unwrap();
    }

    /// Returns how many processes name the scene's folder in their arguments.
    fn processes(&self) -> usize {
        let folder = format!("{}/", self.folder.path().display());
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let named = entries.filter(|entry| {
            let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(&folder)
        });
        named.count()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Whatever an assertion that failed left running.
        let _ = self.xtask(&["environment", "down"]).output();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_running(path: &Path) -> bool {
    path.join("state.json").exists()
}

#[test]
fn up_prints_variables_and_down_leaves_nothing() {
    let scene = Scene::new();
    let up = scene.run(&["environment", "up", "registry/auth"]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    let printed = text(&up.stdout);
    assert!(printed.contains("export BOXWRIGHT_TEST_REGISTRY_AUTH=localhost:"), "{printed}");
    assert!(printed.contains("export BOXWRIGHT_TEST_REGISTRY_PASSWORD='"), "{printed}");
    assert_eq!(text(&scene.run(&["environment", "env"]).stdout), printed);
    assert_eq!(text(&scene.run(&["environment", "up", "registry/auth"]).stdout), printed);
    assert!(scene.processes() > 0);

    let down = scene.run(&["environment", "down"]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    assert_eq!(scene.processes(), 0);
    assert!(!scene.environment().exists());
}

#[test]
fn an_environment_that_lacks_what_is_wanted_is_not_taken_for_it() {
    let scene = Scene::new();
    assert!(scene.run(&["environment", "up", "registry/auth"]).status.success());
    let other = scene.run(&["environment", "up", "registry/open"]);
    assert!(!other.status.success());
    assert!(text(&other.stderr).contains("without registry/open is up"), "{}", text(&other.stderr));
}

#[test]
fn after_its_supervisor_was_killed_it_can_be_taken_down_and_brought_up() {
    let scene = Scene::new();
    assert!(scene.run(&["environment", "up", "registry/auth"]).status.success());
    scene.kill_supervisor();
    let up = scene.run(&["environment", "up", "registry/auth"]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    scene.kill_supervisor();
    assert!(scene.run(&["environment", "down"]).status.success());
    assert_eq!(scene.processes(), 0);
    assert!(!scene.environment().exists());
}

#[test]
fn an_environment_of_a_run_ends_with_that_run() {
    let scene = Scene::new();
    // The folder is there already, made by whoever wants the environment.
    fs::create_dir_all(scene.environment().join("log")).unwrap();
    fs::create_dir_all(scene.environment().join("run")).unwrap();
    let mut supervisor = scene.xtask(&["supervise", "--until-input-ends", "registry/auth"]);
    supervisor.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut supervisor = supervisor.spawn().unwrap();
    let output = BufReader::new(supervisor.stdout.take().unwrap());
    assert!(output.lines().map_while(Result::ok).any(|line| line == "ready"));
    assert!(is_running(&scene.environment()));
    // What the kernel does when the run is killed.
    drop(supervisor.stdin.take());
    assert!(supervisor.wait().unwrap().success());
    assert_eq!(scene.processes(), 0);
    assert!(!scene.environment().exists());
}

#[test]
fn a_daemon_that_does_not_start_is_named_with_its_log_and_nothing_is_left() {
    let scene = Scene::new();
    let broken = "#!/bin/sh\necho the disk is on fire >&2\nexit 1\n";
    fs::write(scene.folder.path().join("bin/docker-registry"), broken).unwrap();
    let up = scene.run(&["environment", "up", "registry/auth"]);
    assert_eq!(up.status.code(), Some(1));
    let said = text(&up.stderr);
    assert!(said.starts_with("error: cannot bring up the environment\n"), "{said}");
    assert!(said.contains("cannot bring up registry/auth"), "{said}");
    assert!(said.contains("the disk is on fire"), "{said}");
    assert!(!scene.environment().exists());
}

#[test]
fn wrong_requests_say_what_to_do() {
    let scene = Scene::new();
    let env = scene.run(&["environment", "env"]);
    assert_eq!(env.status.code(), Some(1));
    assert!(text(&env.stderr).contains("help: bring one up with `cargo xtask environment up`"));
    let unknown = scene.run(&["environment", "up", "registry/none"]);
    assert!(text(&unknown.stderr).contains("error: there is no setup `registry/none`"));
    let down = scene.run(&["environment", "down"]);
    assert!(down.status.success());
}
