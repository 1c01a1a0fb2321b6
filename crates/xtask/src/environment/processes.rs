//! Processes of an environment: found even when whoever started them is gone, and never mistaken for others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// The variable that marks what an environment started, with its folder as the value.
pub(crate) const MARK: &str = "BOXWRIGHT_ENVIRONMENT_MEMBER";

/// Programs that engines leave running and whose arguments name the environment's folder.
const ENGINE_PROGRAMS: &[&str] = &[
    "aardvark-dns",
    "catatonit",
    "conmon",
    "containerd",
    "containerd-shim-runc-v2",
    "dnsmasq",
    "docker-proxy",
    "docker-registry",
    "dockerd",
    "fuse-overlayfs",
    "lxd",
    "podman",
    "rootlessport",
    "runc",
    "slirp4netns",
];

/// A process, with its start time: numbers are used again, the pair is not.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// In clock ticks since the machine started.
    pub(crate) started: u64,
}

impl Process {
    /// Returns the process that has this number now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, started: stat(pid)?.started })
    }

    /// Returns whether it is still running; one that ended and was not reaped is not.
    pub(crate) fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// Sends `signal`, if it is still the same process.
    pub(crate) fn signal(self, signal: Signal) {
        let Some(handle) = self.open() else { return };
        // It may end between the two calls, which is what the signal was for.
        let _ = pidfd_send_signal(handle, signal);
    }

    /// Waits until it has ended, and returns whether it did within `limit`.
    pub(crate) fn wait(self, limit: Duration) -> bool {
        let Some(handle) = self.open() else { return true };
        let timeout = Timespec::try_from(limit).ok();
        let mut ready = [PollFd::new(&handle, PollFlags::IN)];
        poll(&mut ready, timeout.as_ref()).is_ok_and(|count| count > 0)
    }

    fn open(self) -> Option<std::os::fd::OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Only now does the number belong to the handle's process for sure.
        self.is_alive().then_some(handle)
    }
}

/// Returns every process below `ancestor`, whatever group or session it is in.
pub(crate) fn descendants(ancestor: i32) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for (process, stat) in all() {
        if stat.state != 'Z' {
            children.entry(stat.parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![ancestor];
    while let Some(parent) = next.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            next.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// Returns every process that an environment in `folder` started, directly or through an engine.
///
/// This is for when its supervisor was killed, and so the tree of processes no longer tells.
pub(crate) fn members(folder: &Path) -> Vec<Process> {
    let own = ancestors_and_self();
    let members = all().into_iter().filter(|(process, stat)| {
        stat.state != 'Z' && !own.contains(&process.pid) && is_member(process.pid, folder)
    });
    members.map(|(process, _)| process).collect()
}

fn is_member(pid: i32, folder: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let folder = folder.to_string_lossy();
    let mark = format!("{MARK}={folder}");
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
        return true;
    }
    let below = format!("{folder}/");
    let program = fs::read_link(process.join("exe")).unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    if ENGINE_PROGRAMS.contains(&program.as_ref()) {
        let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&arguments).contains(&below) {
            return true;
        }
    }
    // A process in a container: its root file system is made of layers in the folder.
    let mounts = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(4) == Some("/") && line.contains(&below))
}

fn ancestors_and_self() -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut pid = rustix::process::getpid().as_raw_nonzero().get();
    while found.insert(pid) {
        match stat(pid) {
            Some(stat) if stat.parent > 0 => pid = stat.parent,
            _ => break,
        }
    }
    found
}

fn all() -> Vec<(Process, Stat)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| {
        let stat = stat(pid)?;
        Some((Process { pid, started: stat.started }, stat))
    })
    .collect()
}

struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name in parentheses may itself hold spaces and parentheses.
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::Signal;

    use super::{MARK, Process, descendants, members, parse_stat};
    use crate::program::Program;

    fn sleeper(folder: &std::path::Path) -> (std::process::Child, Process) {
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let cat = Program::new("cat").variable(MARK, folder).start_with_pipes(log).unwrap();
        let process = Process::of(i32::try_from(cat.id()).unwrap()).unwrap();
        (cat, process)
    }

    #[test]
    fn a_marked_process_is_found_signalled_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (mut cat, process) = sleeper(folder.path());
        assert_eq!(members(folder.path()), [process]);
        let own = rustix::process::getpid().as_raw_nonzero().get();
        assert!(descendants(own).contains(&process));
        process.signal(Signal::KILL);
        assert!(process.wait(Duration::from_secs(20)));
        assert!(!process.is_alive());
        cat.wait().unwrap();
        assert!(members(folder.path()).is_empty());
    }

    #[test]
    fn another_process_with_the_same_number_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (mut cat, process) = sleeper(folder.path());
        let earlier = Process { started: process.started - 1, ..process };
        assert!(!earlier.is_alive());
        earlier.signal(Signal::KILL);
        drop(cat.stdin.take());
        assert_eq!(cat.wait().unwrap().code(), Some(0), "it ended by itself, not by the signal");
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let zeros = "0 ".repeat(17);
        let stat = parse_stat(&format!("7 (a) b) S 3 {zeros}42 0")).unwrap();
        assert_eq!((stat.state, stat.parent, stat.started), ('S', 3, 42));
    }
}
