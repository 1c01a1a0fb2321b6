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
    /// The largest resident set, in KiB, as last read before the program ended.
    pub(super) memory: u64,
}

/// Runs `program` to its end, with its output in the file `log`.
pub(super) fn measure(program: Program, log: &Path) -> Result<Measured> {
    let line = program.line();
    let output = File::create(log).explain(|| format!("cannot write `{}`", log.display()))?;
    let start = Instant::now();
    let mut child = program.start_silently(output)?;
    let status = format!("/proc/{}/status", child.id());
    let watcher = thread::spawn(move || {
        let mut peak = 0;
        // The line is gone as soon as the program has ended.
        while let Some(memory) = fs::read_to_string(&status).ok().and_then(|text| peak_of(&text)) {
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

/// Reads the peak of the resident set from `/proc/PID/status`.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
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

    use super::{measure, median, peak_of};
    use crate::program::Program;

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        let seconds = |values: &[u64]| values.iter().map(|v| Duration::from_secs(*v)).collect();
        assert_eq!(median(seconds(&[5, 1, 3])), Duration::from_secs(3));
        assert_eq!(median(seconds(&[4, 2])), Duration::from_secs(3));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }

    #[test]
    fn the_peak_is_read_from_its_line() {
        assert_eq!(peak_of("Name:\tx\nVmHWM:\t   1234 kB\n"), Some(1234));
        assert_eq!(peak_of("Name:\tx\n"), None);
    }

    #[test]
    fn a_failing_program_is_a_problem_with_its_output() {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::new("sh").args(["-c", "echo why; exit 1"]);
        let problem = measure(program, &folder.path().join("log")).unwrap_err().to_string();
        assert!(problem.contains("caused by: why"), "{problem}");
    }
}
