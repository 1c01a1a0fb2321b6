//! What was measured, as a table with ratios.

use std::fmt::Write as _;
use std::time::Duration;

use super::measure::{Measured, median};

/// Rows in the order in which they were first noted.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    runs: Vec<Measured>,
    /// The row it is compared with, and how many times as long it may take at most.
    limits: Vec<(String, f64)>,
    /// How long it may take at most.
    longest: Option<Duration>,
}

impl Table {
    /// Adds a run to the row `name`.
    pub(super) fn note(&mut self, name: &str, run: Measured) {
        self.row(name).runs.push(run);
    }

    /// Says that the row `name` may take at most `limit` times as long as the row `other`.
    pub(super) fn compare(&mut self, name: &str, other: &str, limit: f64) {
        self.row(name).limits.push((other.to_owned(), limit));
    }

    /// Says how long the row `name` may take at most.
    pub(super) fn limit(&mut self, name: &str, longest: Duration) {
        self.row(name).longest = Some(longest);
    }

    fn row(&mut self, name: &str) -> &mut Row {
        let at = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            let (runs, limits) = (Vec::new(), Vec::new());
            self.rows.push(Row { name: name.to_owned(), runs, limits, longest: None });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    fn median(&self, name: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.name == name && !row.runs.is_empty())?;
        Some(row.middle().as_secs_f64())
    }

    /// Returns the table as text, without the rows that were not measured.
    pub(super) fn text(&self) -> String {
        let mut text =
            format!("{:44} {:>9} {:>9} {:>6}  limits\n", "work", "median", "least", "MB");
        for row in self.rows.iter().filter(|row| !row.runs.is_empty()) {
            let (middle, least) = (row.middle().as_secs_f64(), row.least().as_secs_f64());
            let memory = row.runs.iter().map(|run| run.memory).max().unwrap_or_default() / 1024;
            let name = &row.name;
            let _ = write!(text, "{name:44} {middle:7.3} s {least:7.3} s {memory:6}");
            let mut before = "  ";
            if let Some(longest) = row.longest {
                let verdict = verdict(row.middle() <= longest);
                let _ = write!(text, "{before}at most {} ms: {verdict}", longest.as_millis());
                before = "; ";
            }
            for (other, limit) in &row.limits {
                let Some(theirs) = self.median(other) else { continue };
                let ratio = middle / theirs.max(f64::EPSILON);
                let verdict = verdict(ratio <= *limit);
                let _ = write!(text, "{before}{ratio:.2} of `{other}`, at most {limit}: {verdict}");
                before = "; ";
            }
            text.push('\n');
        }
        text.trim_end().to_owned()
    }
}

impl Row {
    fn middle(&self) -> Duration {
        median(self.runs.iter().map(|run| run.wall).collect())
    }

    fn least(&self) -> Duration {
        self.runs.iter().map(|run| run.wall).min().unwrap_or_default()
    }
}

const fn verdict(kept: bool) -> &'static str {
    if kept { "kept" } else { "MISSED" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_compared_with_what_was_measured() {
        let run = |millis| Measured { wall: Duration::from_millis(millis), memory: 20 << 10 };
        let mut table = Table::default();
        table.compare("cold", "hash", 1.5);
        table.compare("cold", "never measured", 1.0);
        table.limit("cold", Duration::from_millis(100));
        for millis in [400, 600, 500] {
            table.note("hash", run(millis));
        }
        table.note("cold", run(600));
        let text = table.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("cold") && lines[1].contains("0.600 s   0.600 s     20"));
        assert!(
            lines[1].ends_with("at most 100 ms: MISSED; 1.20 of `hash`, at most 1.5: kept"),
            "{text}"
        );
        assert!(lines[2].contains("0.500 s   0.400 s"), "{text}");
        assert_eq!(lines.len(), 3, "{text}");
    }
}
