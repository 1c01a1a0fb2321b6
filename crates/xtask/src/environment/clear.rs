//! Ends an environment: its processes, its traces outside of its folder, and the folder.
//!
//! All of it goes by what is written down and by names, so that any process can do it, also after the supervisor was
//! killed, and again after it was interrupted itself.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, WaitOptions, getuid, wait};

use super::layout::Layout;
use super::processes::{Process, descendants, members};
use super::state::State;
use super::{lxd, network, user};
use crate::problem::{Explain, Problem, Result};
use crate::program::Program;

/// How long processes may take to end that were killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends and removes everything. What is gone already is no problem.
pub(crate) fn clear(layout: &Layout, state: &State) -> Result<()> {
    end_processes(layout, state)?;
    network::clear(state);
    remove_cgroups(layout);
    unmount(layout);
    if let Some(name) = &state.made_user {
        user::remove(name)?;
    }
    for folder in &state.made_folders {
        // Only if it is empty: someone else may use it by now.
        let _ = fs::remove_dir(folder);
    }
    remove_folder(layout)
}

/// Kills daemons, shims, monitors, and what runs in containers. All they could tidy up is removed afterwards, so none is
/// asked to end; some start others as they go, so it looks again until none is left.
fn end_processes(layout: &Layout, state: &State) -> Result<()> {
    let start = Instant::now();
    loop {
        reap_orphans(state);
        let left = left(layout, state);
        if left.is_empty() {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            let pids: Vec<String> = left.iter().map(|process| process.pid.to_string()).collect();
            return Err(Problem::new(format!("cannot end the processes {}", pids.join(", "))));
        }
        for process in left {
            process.signal(Signal::KILL);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn left(layout: &Layout, state: &State) -> Vec<Process> {
    let own = own_pid();
    let mut left = members(layout.folder());
    // Orphans are given to the supervisor, so below it is everything it ever started.
    if is_supervisor(state) {
        left.extend(descendants(own));
    }
    left.extend(state.daemons.iter().filter(|daemon| daemon.is_alive()));
    left.retain(|process| process.pid != own && state.supervisor != Some(*process));
    left
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

fn is_supervisor(state: &State) -> bool {
    state.supervisor.is_some_and(|supervisor| supervisor.pid == own_pid())
}

/// Takes note, in the supervisor, of processes that ended: it is given those whose own parent is gone.
pub(crate) fn reap_orphans(state: &State) {
    if is_supervisor(state) {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
}

/// Removes the control groups of containers, in each hierarchy.
fn remove_cgroups(layout: &Layout) {
    let root = Path::new("/sys/fs/cgroup");
    let containers = podman_containers(layout);
    let instances = lxd::instances(layout);
    let mut hierarchies = vec![root.to_owned()];
    hierarchies.extend(folders(root));
    for hierarchy in hierarchies {
        remove_group(&hierarchy.join(layout.cgroup()));
        for name in &instances {
            for part in ["payload", "monitor"] {
                remove_group(&hierarchy.join(format!("lxc.{part}.{name}")));
            }
        }
        let parent = hierarchy.join("libpod_parent");
        for group in folders(&parent) {
            let name = group.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if containers.iter().any(|id| name.contains(id.as_str())) {
                remove_group(&group);
            }
        }
        // The kernel refuses while another Podman has processes or groups in them.
        let _ = fs::remove_dir(parent.join("conmon"));
        let _ = fs::remove_dir(&parent);
    }
}

fn remove_group(group: &Path) {
    for inner in folders(group) {
        remove_group(&inner);
    }
    let _ = fs::remove_dir(group);
}

/// Returns the ids of the containers that root's Podman of this environment has had and not removed.
fn podman_containers(layout: &Layout) -> Vec<String> {
    let containers = folders(&layout.path("podman/graph/overlay-containers"));
    let name = |path: std::path::PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
    containers.into_iter().filter_map(name).collect()
}

fn folders(path: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Unmounts what is mounted below the folder. Daemons mount in namespaces of their own, so this is for accidents.
fn unmount(layout: &Layout) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = format!("{}/", layout.folder().display());
    let mut points: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    points.retain(|point| point.starts_with(&below));
    points.sort_unstable();
    for point in points.iter().rev() {
        let _ = Program::new("umount").args(["--lazy", point]).output();
    }
}

fn remove_folder(layout: &Layout) -> Result<()> {
    let folder = layout.folder();
    let mut removed = remove(folder);
    if removed.is_err() && !getuid().is_root() {
        // Files of subordinate users: only in a user namespace that has those can they be removed.
        let _ = Program::new("unshare")
            .args(["--user", "--map-auto", "--map-root-user", "rm", "-rf"])
            .arg(folder)
            .output();
        removed = remove(folder);
    }
    removed.explain(|| format!("cannot remove `{}`", folder.display()))
}

/// Removes a folder and all in it. One that is not there is no error.
pub(crate) fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::clear;
    use crate::environment::layout::Layout;
    use crate::environment::processes::{MARK, Process};
    use crate::environment::state::State;
    use crate::program::Program;

    #[test]
    fn processes_and_folder_are_gone_afterwards() {
        let parent = tempfile::tempdir().unwrap();
        let layout = Layout::new(&parent.path().join("e")).unwrap();
        layout.create().unwrap();
        let log = std::fs::File::create(layout.log("x")).unwrap();
        let mut cat =
            Program::new("cat").variable(MARK, layout.folder()).start_with_pipes(log).unwrap();
        let process = Process::of(i32::try_from(cat.id()).unwrap()).unwrap();
        // Not among the daemons of the state, as when the supervisor was killed while it started one.
        std::thread::scope(|scope| {
            scope.spawn(|| cat.wait());
            clear(&layout, &State::default()).unwrap();
        });
        assert!(process.wait(Duration::ZERO));
        assert!(!layout.folder().exists());
        clear(&layout, &State::default()).unwrap();
    }
}
