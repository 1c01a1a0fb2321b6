//! The report of corpora for people: a row for each corpus, each kind of case, and each engine; then what needs
//! explaining.

use std::collections::BTreeMap;

use super::Report;
use super::terminal::{self, Style};

/// How many cases came to each verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts(BTreeMap<&'static str, usize>);

impl Counts {
    fn of(&self, verdict: &str) -> usize {
        self.0.get(verdict).copied().unwrap_or(0)
    }

    fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// How many of a hundred came out as expected.
    fn percent(&self) -> f64 {
        let all = u32::try_from(self.total()).unwrap_or(u32::MAX);
        let passed = u32::try_from(self.of("pass")).unwrap_or(u32::MAX);
        f64::from(passed) * 100.0 / f64::from(all.max(1))
    }
}

/// Returns the whole report. Its last line is `N passed, N failed`.
#[must_use]
pub fn render(report: &Report, style: Style) -> String {
    let mut rows = vec![
        [
            "corpus",
            "cases",
            "engine",
            "all",
            "pass",
            "%",
            "diverge",
            "unsupported",
            "fail",
            "broken",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for ((corpus, part, column), counts) in count(report) {
        let mut row = vec![corpus, part, column, counts.total().to_string()];
        row.push(counts.of("pass").to_string());
        row.push(format!("{:.1}", counts.percent()));
        for verdict in ["diverges", "unsupported", "fail", "broken"] {
            row.push(counts.of(verdict).to_string());
        }
        rows.push(row);
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = terminal::engines(report, style);
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(number, (cell, &width))| {
            if number < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text.push('\n');
    terminal::comparisons(report, &mut text);
    text.push_str(&terminal::ending(report, style));
    text
}

/// Counts by corpus, kind of case, and column.
fn count(report: &Report) -> BTreeMap<(String, String, String), Counts> {
    let groups: BTreeMap<&str, &[String]> =
        report.cases.iter().map(|case| (case.id.as_str(), case.groups.as_slice())).collect();
    let mut all: BTreeMap<_, Counts> = BTreeMap::new();
    for result in &report.results {
        let Some(groups) = groups.get(result.case.as_str()).filter(|it| !it.is_empty()) else {
            continue;
        };
        let corpus = result.case.split('/').next().unwrap_or_default().to_owned();
        let part = part(&result.case, groups).to_owned();
        let counts = all.entry((corpus, part, result.column.clone())).or_default();
        *counts.0.entry(result.verdict.name()).or_default() += 1;
    }
    all
}

/// Returns what kind of case it is.
fn part(case: &str, groups: &[String]) -> &'static str {
    let has = |word: &str| groups.iter().any(|group| group == word);
    match () {
        () if case.ends_with("/agrees") => "agreement",
        () if has("debian") => "debian",
        () if has("run") => "with RUN",
        () => "without RUN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one_digest::OneDigest;
    use crate::report::{CaseReport, ColumnReport};
    use crate::runner::Outcome;
    use crate::verdict::Verdict;

    #[test]
    fn cases_are_counted_by_corpus_and_kind() {
        let case = |id: &str, groups: [&str; 2]| CaseReport {
            id: id.to_owned(),
            promise: String::new(),
            groups: groups.map(str::to_owned).to_vec(),
        };
        let outcome = |id: &str, verdict| Outcome::new(id, "fake", verdict);
        let report = Report {
            format: 1,
            run: String::new(),
            words: String::new(),
            seconds: 0.0,
            columns: Vec::<ColumnReport>::new(),
            missing: Vec::new(),
            one_digest: OneDigest::default(),
            native: Vec::new(),
            cases: vec![
                case("a/1", ["scratch", "no run"]),
                case("a/2", ["alpine", "no run"]),
                case("a/3", ["debian", "run"]),
                case("a/3/agrees", ["debian", "run"]),
            ],
            results: vec![
                outcome("a/1", Verdict::Pass),
                outcome("a/2", Verdict::Fail { reason: "no".into() }),
                outcome("a/3", Verdict::Pass),
                outcome("a/3/agrees", Verdict::Pass),
            ],
        };
        let text = render(&report, Style::Plain);
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        let row = |words: &[&str]| lines.iter().any(|line| line == words);
        assert!(
            row(&["a", "without", "RUN", "fake", "2", "1", "50.0", "0", "0", "1", "0"]),
            "{text}"
        );
        assert!(row(&["a", "debian", "fake", "1", "1", "100.0", "0", "0", "0", "0"]), "{text}");
        assert!(row(&["a", "agreement", "fake", "1", "1", "100.0", "0", "0", "0", "0"]), "{text}");
        assert!(text.ends_with("3 passed, 1 failed\n"), "{text}");
    }
}
