//! Control groups: how many processes a step may have, where the machine lets that be said.

use std::path::{Path, PathBuf};

/// How many processes a step may have unless it is told otherwise, and unless that is more than half of what the
/// machine has.
const MOST_PROCESSES: u64 = 32_768;

/// What the names of groups begin with.
const PREFIX: &str = "boxwright-";

/// Returns how many processes a step may have.
pub(super) fn most_processes(wanted: Option<u64>) -> u64 {
    let machine = std::fs::read_to_string("/proc/sys/kernel/pid_max").ok();
    let machine = machine.and_then(|text| text.trim().parse::<u64>().ok());
    wanted.unwrap_or_else(|| MOST_PROCESSES.min(machine.unwrap_or(MOST_PROCESSES) / 2))
}

/// The groups of one step. They go away with the value.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<PathBuf>);

impl Groups {
    /// Makes groups for the step `name`. Where this process may not, there are none: an ordinary user mostly
    /// has no group to make others in.
    pub(super) fn make(name: &str, most: u64) -> Self {
        let make = |own: PathBuf| {
            let group = own.join(format!("{PREFIX}{name}"));
            std::fs::create_dir(&group).ok()?;
            match std::fs::write(group.join("pids.max"), most.to_string()) {
                Ok(()) => Some(group),
                Err(_) => {
                    let _ = std::fs::remove_dir(&group);
                    None
                }
            }
        };
        let group = places().into_iter().find_map(make);
        Self(group.into_iter().collect())
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.0.clone()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            // Of a step that is gone, nothing is in it.
            let _ = std::fs::remove_dir(group);
        }
    }
}

/// Removes groups that killed workers left. Their names begin with the worker's process id, and the kernel keeps
/// those that a process is in.
pub(crate) fn sweep() {
    for place in places() {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let parts: Vec<_> = name.to_str().unwrap_or_default().split('-').collect();
            let ["boxwright", process, _, _] = parts[..] else { continue };
            let is_gone =
                process.parse::<u32>().is_ok() && !Path::new("/proc").join(process).exists();
            if is_gone {
                let _ = std::fs::remove_dir(entry.path());
            }
        }
    }
}

/// Returns where a group that counts processes may be made: in that of this process, or in the first one, since
/// in the second version a group that processes are in hands nothing down, but the first one does.
fn places() -> Vec<PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut places = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let root = match controllers {
            "" => Path::new("/sys/fs/cgroup"),
            names if names.split(',').any(|name| name == "pids") => {
                Path::new("/sys/fs/cgroup/pids")
            }
            _ => continue,
        };
        places.extend([root.join(path.trim_start_matches('/')), root.to_owned()]);
    }
    places.retain(|place| place.join("cgroup.procs").exists());
    places
}
