//! `docs/reference/corpora.md`: what the cases of other builders came to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::{MADE, cell};
use crate::problem::{Explain, Result};

/// What is read of a report; the rest of it is for other readers.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    columns: Vec<Column>,
    cases: Vec<Case>,
    results: Vec<Outcome>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    version: String,
}

#[derive(Debug, Deserialize)]
struct Case {
    id: String,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    case: String,
    column: String,
    verdict: String,
    reason: Option<String>,
    link: Option<String>,
}

/// The verdicts, in the order of the table.
const VERDICTS: [&str; 5] = ["pass", "diverges", "unsupported", "fail", "broken"];

impl Report {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let message = || format!("cannot read the report `{}`", path.display());
        let text = fs::read(path).explain(message)?;
        serde_json::from_slice(&text).explain(message)
    }

    /// Returns the page.
    pub(super) fn page(&self) -> String {
        let engines: Vec<String> =
            self.columns.iter().map(|it| format!("{} {}", it.name, it.version)).collect();
        let mut page = format!(
            "{MADE}# Cases of other builders\n\nWhat the corpora came to on {}. [How they are run and \
             judged](../guides/corpora.md).\n\n\
             | corpus | cases | engine | all | pass | diverge | unsupported | fail | broken | as expected |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
            cell(&engines.join(", "))
        );
        for ((corpus, part, column), counts) in self.count() {
            let all: usize = counts.values().sum();
            let of = |verdict: &str| counts.get(verdict).copied().unwrap_or(0);
            let cells: Vec<String> =
                VERDICTS.iter().map(|verdict| of(verdict).to_string()).collect();
            let tenths = (of("pass") * 1000 + all / 2).checked_div(all).unwrap_or(0);
            page.push_str(&format!(
                "| {corpus} | {part} | {} | {all} | {} | {}.{} % |\n",
                cell(&column),
                cells.join(" | "),
                tenths / 10,
                tenths % 10
            ));
        }
        page.push_str(&self.list("Known differences", "diverges"));
        page.push_str(&self.list("Not supported", "unsupported"));
        page
    }

    /// Counts by corpus, kind of case and engine.
    fn count(&self) -> BTreeMap<(String, &'static str, String), BTreeMap<String, usize>> {
        let groups: BTreeMap<&str, &[String]> =
            self.cases.iter().map(|case| (case.id.as_str(), case.groups.as_slice())).collect();
        let mut all: BTreeMap<_, BTreeMap<String, usize>> = BTreeMap::new();
        for result in &self.results {
            let found = groups.get(result.case.as_str()).filter(|groups| !groups.is_empty());
            let Some(groups) = found else { continue };
            let corpus = result.case.split('/').next().unwrap_or_default().to_owned();
            let has = |word: &str| groups.iter().any(|group| group == word);
            let part = match () {
                () if result.case.ends_with("/agrees") => "two engines agree",
                () if has("debian") => "Debian's image",
                () if has("run") => "with RUN",
                () => "without RUN",
            };
            let counts = all.entry((corpus, part, result.column.clone())).or_default();
            *counts.entry(result.verdict.clone()).or_default() += 1;
        }
        all
    }

    /// Lists the cases that came to a verdict, by reason.
    fn list(&self, title: &str, verdict: &str) -> String {
        let mut reasons: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
        for result in self.results.iter().filter(|result| result.verdict == verdict) {
            let reason = result.reason.as_deref().map(cell).unwrap_or_default();
            let link = result.link.as_ref().map_or(String::new(), |link| format!(" (<{link}>)"));
            let cases = reasons.entry((&result.column, reason + &link)).or_default();
            cases.insert(&result.case);
        }
        let mut text = String::new();
        for ((column, reason), cases) in reasons {
            let cases: Vec<String> = cases.iter().map(|case| format!("`{case}`")).collect();
            text.push_str(&format!("- {column}: {reason}: {}\n", cases.join(", ")));
        }
        if text.is_empty() { text } else { format!("\n## {title}\n\n{text}") }
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn a_report_becomes_rows_and_reasons() {
        let text = r#"{"format": 1, "columns": [{"name": "podman", "version": "4"}],
            "cases": [{"id": "a/1", "groups": ["busybox", "run"]}, {"id": "a/2", "groups": ["scratch", "no run"]},
              {"id": "a/3", "groups": ["busybox", "run"]}, {"id": "suite/nothing-is-left"}],
            "results": [{"case": "a/1", "column": "podman", "verdict": "pass"},
              {"case": "a/2", "column": "podman", "verdict": "unsupported", "reason": "old | slow"},
              {"case": "a/3", "column": "podman", "verdict": "diverges", "reason": "known",
               "link": "https://example.com/1"},
              {"case": "suite/nothing-is-left", "column": "podman", "verdict": "pass"}]}"#;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, text).unwrap();
        let page = Report::read(&path).unwrap().page();
        for expected in [
            "| a | with RUN | podman | 2 | 1 | 1 | 0 | 0 | 0 | 50.0 % |\n",
            "| a | without RUN | podman | 1 | 0 | 0 | 1 | 0 | 0 | 0.0 % |\n",
            "- podman: known (<https://example.com/1>): `a/3`\n",
            "- podman: old \\| slow: `a/2`\n",
        ] {
            assert!(page.contains(expected), "{expected}\n---\n{page}");
        }
        assert!(!page.contains("suite"), "{page}");
    }
}
