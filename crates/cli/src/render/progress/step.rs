//! What is known of steps and transfers while they go on.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use boxwright_core::{OutputStream, StepId};

use crate::render::text::Lines;
use crate::render::{bytes, clean};

/// How many lines of a step are kept to be shown again when it fails.
const KEPT_LINES: usize = 30;

/// How much of something is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) current: u64,
    pub(super) total: Option<u64>,
}

impl Amount {
    pub(super) fn is_whole(self) -> bool {
        self.total.is_some_and(|total| total > 0 && self.current >= total)
    }

    pub(super) fn shown(self) -> String {
        match self.total {
            Some(total) if self.current < total => {
                format!("{} of {}", bytes(self.current), bytes(total))
            }
            _ => bytes(self.current),
        }
    }
}

/// A step that runs.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) started: Duration,
    pub(super) items: BTreeMap<String, Amount>,
    pub(super) kept: VecDeque<String>,
    stdout: Lines,
    stderr: Lines,
}

impl Step {
    pub(super) fn new(name: &str, started: Duration) -> Self {
        Self {
            name: clean(name),
            started,
            items: BTreeMap::new(),
            kept: VecDeque::new(),
            stdout: Lines::default(),
            stderr: Lines::default(),
        }
    }

    /// Takes output, and returns the lines that it completes.
    pub(super) fn log(&mut self, stream: OutputStream, output: &[u8]) -> Vec<String> {
        let lines = match stream {
            OutputStream::Stdout => self.stdout.push(output),
            OutputStream::Stderr => self.stderr.push(output),
        };
        self.keep(&lines);
        lines
    }

    /// Returns the lines that the end of the step completes.
    pub(super) fn rest(&mut self) -> Vec<String> {
        let lines: Vec<_> = [self.stdout.end(), self.stderr.end()].into_iter().flatten().collect();
        self.keep(&lines);
        lines
    }

    /// Returns the last `count` lines, with one that is not finished.
    pub(super) fn last_lines(&self, count: usize) -> Vec<String> {
        let unfinished = [self.stdout.unfinished(), self.stderr.unfinished()];
        let all = self.kept.iter().filter(|line| !line.trim().is_empty()).cloned();
        let mut lines: Vec<String> = all.chain(unfinished.into_iter().flatten()).collect();
        lines.split_off(lines.len().saturating_sub(count))
    }

    fn keep(&mut self, lines: &[String]) {
        for line in lines {
            if self.kept.len() == KEPT_LINES {
                self.kept.pop_front();
            }
            self.kept.push_back(line.clone());
        }
    }
}

/// The steps that run, by number.
pub(super) type Steps = BTreeMap<StepId, Step>;

/// Returns a digest in the length that people compare, and anything else as it is.
pub(super) fn short(item: &str) -> String {
    match item.strip_prefix("sha256:") {
        Some(hex) if hex.len() == 64 => format!("sha256:{}", &hex[..12]),
        _ => clean(item),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_keeps_its_last_lines() {
        let mut step = Step::new("x", Duration::ZERO);
        for number in 0..100 {
            step.log(OutputStream::Stdout, format!("{number}\n").as_bytes());
        }
        step.log(OutputStream::Stderr, b"50%\r60%");
        assert_eq!(step.kept.len(), KEPT_LINES);
        assert_eq!(step.last_lines(2), ["99", "60%"]);
        assert_eq!(step.rest(), ["60%"]);
    }

    #[test]
    fn amounts_say_of_how_much_only_while_it_goes_on() {
        let amount = |current, total| Amount { current, total }.shown();
        assert_eq!(amount(1_000, Some(2_000)), "1.0 kB of 2.0 kB");
        assert_eq!((amount(2_000, Some(2_000)), amount(5, None)), ("2.0 kB".into(), "5 B".into()));
    }
}
