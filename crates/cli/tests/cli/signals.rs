//! Ctrl-C and SIGTERM.

use std::io::{BufReader, Read as _};
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use super::harness::Home;

fn sleeping() -> Home {
    Home::with_dockerfile("FROM scratch\nRUN sleep 600\n")
}

/// Waits until the program writes a line with `text` in it, and returns its standard error for the rest.
fn wait_for(child: &mut Child, text: &str) -> BufReader<std::process::ChildStderr> {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    skip_to(&mut stderr, text);
    stderr
}

pub(crate) fn skip_to(stderr: &mut impl std::io::BufRead, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended before `{text}`");
    }
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn the_first_signal_cancels_the_build_and_exits_130() {
    for kind in [Signal::INT, Signal::TERM] {
        let home = sleeping();
        let mut child = home.start_fake(&["build", "app", "-t", "x", "--progress=plain"]);
        let mut stderr = wait_for(&mut child, "RUN sleep");
        signal(&child, kind);
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        let run = home.ended(child);
        assert_eq!((run.code, run.stdout.as_str()), (130, ""), "{rest}");
        assert!(rest.contains("interrupted: cleaning up"), "{rest}");
        assert!(rest.contains("error: interrupted"), "{rest}");
        assert_eq!(home.names(""), ["app"]);
    }
}

#[test]
fn the_second_signal_does_not_wait_for_the_engine() {
    let home = sleeping().variable("FAKE_DEFECT", "ignores-cancel");
    let mut child = home.start_fake(&["build", "app", "--progress=plain"]);
    let mut stderr = wait_for(&mut child, "RUN sleep");
    signal(&child, Signal::INT);
    skip_to(&mut stderr, "interrupted: cleaning up");
    signal(&child, Signal::INT);
    assert_eq!(home.ended(child).code, 130);
}

#[test]
fn a_context_that_never_comes_can_be_interrupted() {
    let home = Home::new();
    // Standard input stays open and silent.
    let mut child = home.start_fake(&["login", "localhost:1", "-u", "a", "--password-stdin"]);
    let input = child.stdin.take();
    let pid = child.id();
    // The handler is there once the process sleeps in its read, which /proc tells.
    let reads = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let calls = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("syscall")));
        calls.filter_map(Result::ok).any(|call| call.starts_with("0 0x0 "))
    };
    while !reads() {
        std::thread::yield_now();
    }
    signal(&child, Signal::INT);
    let run = home.ended(child);
    drop(input);
    assert_eq!(run.code, 130, "{run}");
}
