//! Ends the step of a build that was cancelled.
//!
//! QUIRK(podman, all versions known): when the client goes, the service gives the build up, but the command of the
//! `RUN` under way runs on to its own end, and only then is its container removed. So where service and step are on this
//! machine, the step's processes are ended here. They are told by a resource limit that no other process has.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// The limit on POSIX message queues, in bytes, below the kernel's default of 819,200: what no build step ever reaches.
const LOWEST: u64 = 400_000;
const SPAN: u64 = 400_000;

/// What the processes of one build are told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    /// Returns a mark that no other build is likely to have.
    pub(crate) fn new() -> Self {
        Self(LOWEST + RandomState::new().build_hasher().finish() % SPAN)
    }

    /// Returns the mark as digits.
    pub(crate) fn text(self) -> String {
        self.0.to_string()
    }

    /// Returns the resource limit as the builder takes it.
    pub(crate) fn limit(self) -> String {
        format!("msgqueue={0}:{0}", self.0)
    }

    /// Ends every process of this machine that has the mark, and returns how many there were.
    pub(crate) fn end_processes(self) -> usize {
        self.end_processes_in(Path::new("/proc"))
    }

    fn end_processes_in(self, proc: &Path) -> usize {
        let Ok(entries) = std::fs::read_dir(proc) else { return 0 };
        let mut ended = 0;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let id =
                name.to_str().and_then(|name| name.parse::<i32>().ok()).and_then(Pid::from_raw);
            let Some(id) = id else { continue };
            let limits = std::fs::read_to_string(entry.path().join("limits")).unwrap_or_default();
            if self.is_in(&limits) {
                ended += 1;
                // One that is gone meanwhile is what was wanted.
                let _ = kill_process(id, Signal::KILL);
            }
        }
        ended
    }

    /// Whether a process with these limits, as `/proc/ID/limits` has them, has the mark.
    fn is_in(self, limits: &str) -> bool {
        let line = limits.lines().find_map(|line| line.strip_prefix("Max msgqueue size"));
        let mut fields = line.unwrap_or_default().split_whitespace();
        let value = self.0.to_string();
        fields.next() == Some(&value) && fields.next() == Some(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max pending signals       96365                96365                signals
Max msgqueue size         400123               400123               bytes
Max nice priority         0                    0
";

    #[test]
    fn a_process_is_told_by_its_limit_alone() {
        assert!(Mark(400_123).is_in(LIMITS));
        assert!(!Mark(400_124).is_in(LIMITS));
        assert!(!Mark(40_012).is_in(LIMITS));
        assert!(!Mark(400_123).is_in(""));
        assert_eq!(Mark(400_123).limit(), "msgqueue=400123:400123");
    }

    #[test]
    fn marks_stay_below_the_default() {
        for _ in 0..100 {
            let Mark(value) = Mark::new();
            assert!((LOWEST..819_200).contains(&value));
        }
    }
}
