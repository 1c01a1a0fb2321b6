//! Runs a program and notes its wall time and its peak memory.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, last_lines};

/// How often the memory of the running program is read.
const INTERVAL: Duration = Duration::from_millis(4);

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) wall: Duration,
    /// The largest resident set of the program and of all that it started, together, in KiB. It is read every few
    /// milliseconds.
    pub(super) memory: u64,
}

impl Measured {
    /// Returns the two as one after the other.
    pub(super) fn then(self, next: Self) -> Self {
        Self { wall: self.wall + next.wall, memory: self.memory.max(next.memory) }
    }
}

/// Runs `program` to its end, with its output in the file `log`.
pub(super) fn measure(program: Program, log: &Path) -> Result<Measured> {
    let line = program.line();
    let output = File::create(log).explain(|| format!("cannot write `{}`", log.display()))?;
    let start = Instant::now();
    let mut child = program.start_silently(output)?;
    let id = child.id();
    let watcher = thread::spawn(move || {
        let mut peak = 0;
        // There is nothing to read as soon as the program has ended.
        while let Some(memory) = resident(id) {
            peak = memory.max(peak);
            thread::sleep(INTERVAL);
        }
        peak
    });
    let ended = child.wait().explain(|| format!("cannot wait for `{line}`"))?;
    let wall = start.elapsed();
    let memory = watcher.join().unwrap_or_default();
    if !ended.success() {
        let text = fs::read_to_string(log).unwrap_or_default();
        return Err(
            Problem::new(format!("`{line}` did not succeed: {ended}")).cause(last_lines(&text, 10))
        );
    }
    Ok(Measured { wall, memory })
}

/// Returns the resident set of a process and of its descendants, in KiB, or `None` if it has ended.
fn resident(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let mut sum = resident_of(&status)?;
    for thread in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        sum += children.filter_map(resident).sum::<u64>();
    }
    Some(sum)
}

/// Reads the resident set from `/proc/PID/status`; a process that has ended has none.
fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns the middle value, or zero of none.
pub(super) fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    match values.len() {
        0 => Duration::ZERO,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{measure, median, resident_of};
    use crate::program::Program;

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        let seconds = |values: &[u64]| values.iter().map(|v| Duration::from_secs(*v)).collect();
        assert_eq!(median(seconds(&[5, 1, 3])), Duration::from_secs(3));
        assert_eq!(median(seconds(&[4, 2])), Duration::from_secs(3));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }

    #[test]
    fn the_resident_set_is_read_from_its_line() {
        assert_eq!(resident_of("Name:\tx\nVmRSS:\t   1234 kB\n"), Some(1234));
        assert_eq!(resident_of("Name:\tx\n"), None);
    }

    #[test]
    fn what_a_program_starts_counts() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let run = |script: &str| measure(Program::new("sh").args(["-c", script]), &log).unwrap();
        let alone = run("sleep 0.1; true").memory;
        let with_child =
            run("sh -c 'x=$(head -c 20000000 /dev/zero | tr \"\\0\" a); sleep 0.2'; true").memory;
        assert!(with_child > alone + 15_000, "{with_child} against {alone}");
    }

    #[test]
    fn a_failing_program_is_a_problem_with_its_output() {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::new("sh").args(["-c", "echo why; exit 1"]);
        let problem = measure(program, &folder.path().join("log")).unwrap_err().to_string();
        assert!(problem.contains("caused by: why"), "{problem}");
    }
}
