//! `RUN` steps of the embedded engine that behave badly, and ends that come early: seen from outside of the program.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use boxwright_image::tar::{Header, Kind, Writer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::harness::Home;

const PROGRAM: &str = env!("CARGO_BIN_EXE_boxwright");

/// How long it may take until all is gone.
const SOON: Duration = Duration::from_secs(20);

/// A layer with busybox, which is the shell and what it needs.
pub(crate) fn base() -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox").expect("needs the package busybox-static");
    let mut tar = Writer::new(Vec::new());
    let program = Header::new("bin/busybox", Kind::File { size: busybox.len() as u64 }, 0o755);
    tar.file(&program, &mut &busybox[..]).unwrap();
    for name in ["sh", "sleep", "touch", "true", "dd", "setsid"] {
        let link = Kind::Symlink { target: "busybox".into() };
        tar.file(&Header::new(format!("bin/{name}"), link, 0o777), &mut &b""[..]).unwrap();
    }
    tar.finish().unwrap()
}

/// A home whose build runs `command`.
fn home(command: &str) -> Home {
    let home = Home::new().file("app/base.tar", base());
    let store = home.path("store").display().to_string();
    with(home.variable("BOXWRIGHT_STORE", store), command)
}

fn with(home: Home, command: &str) -> Home {
    let text = format!("FROM scratch\nADD base.tar /\nRUN {command}\n");
    home.file("app/Dockerfile", text)
}

fn start(home: &Home, more: &[&str]) -> Child {
    let arguments = ["build", "--engine", "embedded", "--progress", "plain", "app"];
    home.command(Path::new(PROGRAM), &[&arguments[..], more].concat()).spawn().unwrap()
}

/// Starts a build, and waits until its step wrote `begun`.
fn begun(home: &Home) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = start(home, &[]);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (mut line, mut all) = (String::new(), String::new());
    while !line.contains("begun") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended early: {all}");
        all += &line;
    }
    (child, stderr)
}

fn signal(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(process).unwrap()).unwrap(), signal).unwrap();
}

/// The processes with `text` in what they were started as.
fn running(text: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |number: &u32| {
        let command = std::fs::read_to_string(format!("/proc/{number}/cmdline"));
        command.is_ok_and(|command| command.contains(text))
    };
    numbers.filter(has).collect()
}

/// Waits until no process of the step, which has `mark` in its command, nor the worker runs; then nothing may be
/// mounted or left, and the next build works.
fn is_undone(home: Home, mark: &str) {
    let store = home.path("store").display().to_string();
    let start = Instant::now();
    while !(running(mark).is_empty() && running(&store).is_empty()) {
        assert!(start.elapsed() < SOON, "{mark} or the worker goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&store), "something is mounted: {mounts}");
    let home = with(home, "touch /made");
    let run = home.real(&["build", "--engine", "embedded", "app"]);
    assert_eq!(run.code, 0, "{run}");
    let run = home.real(&["df", "--format", "json"]);
    let usage: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(usage["steps"]["leftovers"]["count"], 0, "{run}");
}

#[test]
fn a_killed_client_takes_its_steps_along_threat_39() {
    let home = home("echo be\"\"gun; setsid sleep 48110 & sleep 48110");
    let (mut child, _) = begun(&home);
    child.kill().unwrap();
    child.wait().unwrap();
    is_undone(home, "48110");
}

#[test]
fn an_interrupted_build_ends_a_step_that_ignores_signals_threat_39() {
    let home = home("trap '' TERM INT HUP; echo be\"\"gun; while true; do sleep 48120; done");
    let (child, mut stderr) = begun(&home);
    signal(child.id(), Signal::INT);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(home.ended(child).code, 130, "{rest}");
    is_undone(home, "48120");
}

#[test]
fn a_killed_worker_is_told_and_the_next_build_has_another_threat_39() {
    let home = home("echo be\"\"gun; sleep 48130");
    let (child, mut stderr) = begun(&home);
    let store = home.path("store").display().to_string();
    let worker = format!("{store}/worker/boxwright-worker-");
    let workers = running(&worker);
    assert!(!workers.is_empty());
    for worker in workers {
        signal(worker, Signal::KILL);
    }
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let run = home.ended(child);
    assert_ne!(run.code, 0, "{rest}");
    assert!(rest.contains("signal: 9") && rest.contains("worker"), "{rest}");
    is_undone(home, "48130");
}

#[test]
fn two_builds_at_once_give_one_image_threat_40() {
    let home = home("echo be\"\"gun; sleep 1; echo 1 >/made");
    let children = [start(&home, &["--reproducible"]), start(&home, &["--reproducible"])];
    let [first, second] = children.map(|child| home.ended(child));
    assert_eq!((first.code, second.code), (0, 0), "{first}\n{second}");
    assert!(!first.stdout.is_empty() && first.stdout == second.stdout, "{first}\n{second}");
    is_undone(home, "be\"\"gun");
}

#[test]
fn much_output_without_an_end_of_line_takes_no_memory() {
    const MOST: u64 = 128 << 10;
    let home = home("dd if=/dev/zero bs=1M count=256 2>/dev/null");
    let mut child = start(&home, &[]);
    let mut stderr = child.stderr.take().unwrap();
    let drained = std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        most = most.max(peak.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(home.ended(child).code, 0);
    let written = drained.join().unwrap().unwrap();
    assert!(written >= 256 << 20, "only {written} bytes were shown");
    assert!((1..MOST).contains(&most), "{most} kB");
}
