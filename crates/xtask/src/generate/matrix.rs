//! `docs/reference/engine-matrix.md` and the README's table: what the conformance suite found of each engine.

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
    engine: String,
    version: String,
    builder: String,
    rootless: Option<bool>,
    capabilities: BTreeMap<String, Declared>,
    features: BTreeMap<String, Declared>,
    totals: BTreeMap<String, usize>,
}

#[derive(Debug, Deserialize)]
struct Declared {
    support: String,
    reason: Option<String>,
    remedy: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Case {
    id: String,
    promise: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Outcome {
    case: String,
    column: String,
    verdict: String,
    reason: Option<String>,
    link: Option<String>,
}

impl Report {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let message = || format!("cannot read the report `{}`", path.display());
        let text = fs::read(path).explain(message)?;
        let mut report: Self = serde_json::from_slice(&text).explain(message)?;
        // It stands for no engine, and is there to test the suite.
        report.columns.retain(|column| column.engine != "fake");
        Ok(report)
    }

    /// Adds what `other`, a report of the same suite, found of other columns, each beside those of its engine.
    pub(super) fn join(&mut self, other: Self) {
        for column in other.columns {
            if self.columns.iter().any(|known| known.name == column.name) {
                continue;
            }
            let results = other.results.iter().filter(|result| result.column == column.name);
            self.results.extend(results.cloned());
            let last = self.columns.iter().rposition(|known| known.engine == column.engine);
            self.columns.insert(last.map_or(self.columns.len(), |last| last + 1), column);
        }
        for case in other.cases {
            if self.cases.iter().all(|known| known.id != case.id) {
                self.cases.push(case);
            }
        }
    }

    /// Returns the short table of engines.
    pub(super) fn table(&self) -> String {
        let mut text =
            "| engine | version | builds with | cases kept | diverge | not supported |\n\
                        | --- | --- | --- | --- | --- | --- |\n"
                .to_owned();
        for column in &self.columns {
            let total = |verdict: &str| column.totals.get(verdict).copied().unwrap_or(0);
            text.push_str(&format!(
                "| {}{} | {} | {} | {} | {} | {} |\n",
                column.engine,
                if column.rootless == Some(true) { ", rootless" } else { "" },
                cell(&column.version),
                cell(&column.builder),
                total("pass"),
                total("diverges"),
                total("unsupported")
            ));
        }
        text
    }

    /// Returns the whole page.
    pub(super) fn page(&self) -> String {
        let mut page = format!(
            "{MADE}# Engine matrix\n\nWhat the conformance suite found. Every case meets every engine.\n\n{}",
            self.table()
        );
        for (title, declared) in [
            ("Capabilities", (|column| &column.capabilities) as fn(&Column) -> &BTreeMap<_, _>),
            ("Features of Dockerfiles", |column| &column.features),
        ] {
            page.push_str(&format!("\n## {title}\n\n{}", self.head("what")));
            let names: BTreeSet<&String> =
                self.columns.iter().flat_map(|column| declared(column).keys()).collect();
            for name in names {
                let of = |column: &Column| {
                    let found: Option<&Declared> = declared(column).get(name);
                    found.map_or(String::new(), |declared| declared.support.clone())
                };
                page.push_str(&self.row(name, of));
            }
            page.push_str(&self.gaps(declared));
        }
        page.push_str(&format!("\n## Cases\n\n{}", self.head("promise")));
        for case in &self.cases {
            let of = |column: &Column| {
                self.result(case, column).map_or(String::new(), |result| result.verdict.clone())
            };
            let name = format!("{} (`{}`)", cell(&case.promise), case.id);
            page.push_str(&self.row(&name, of));
        }
        page.push_str(&self.divergences());
        page
    }

    fn head(&self, first: &str) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        format!("| {first} | {} |\n| --- {}|\n", names.join(" | "), "| --- ".repeat(names.len()))
    }

    fn row(&self, name: &str, of: impl Fn(&Column) -> String) -> String {
        let cells: Vec<String> = self.columns.iter().map(|column| cell(&of(column))).collect();
        format!("| {name} | {} |\n", cells.join(" | "))
    }

    fn result(&self, case: &Case, column: &Column) -> Option<&Outcome> {
        self.results.iter().find(|result| result.case == case.id && result.column == column.name)
    }

    /// Lists what is declared unsupported, with reason and remedy.
    fn gaps(&self, declared: fn(&Column) -> &BTreeMap<String, Declared>) -> String {
        let mut text = String::new();
        for column in &self.columns {
            for (name, Declared { reason, remedy, .. }) in declared(column) {
                let (Some(reason), Some(remedy)) = (reason, remedy) else { continue };
                let column = &column.name;
                text.push_str(&format!(
                    "\n- {column}, `{name}`: {}; {}",
                    cell(reason),
                    cell(remedy)
                ));
            }
        }
        if text.is_empty() { text } else { format!("{text}\n") }
    }

    fn divergences(&self) -> String {
        let mut text = String::new();
        for result in self.results.iter().filter(|result| result.verdict == "diverges") {
            let reason = result.reason.as_deref().map(cell).unwrap_or_default();
            let link = result.link.as_deref().unwrap_or_default();
            let (case, column) = (&result.case, &result.column);
            text.push_str(&format!("\n- {column}, `{case}`: {reason} (<{link}>)"));
        }
        if text.is_empty() { text } else { format!("\n## Known differences\n{text}\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn a_report_becomes_a_table_and_a_page() {
        let text = r#"{"format": 1, "columns": [
            {"name": "podman rootless", "engine": "podman", "version": "4.3.1", "builder": "libpod",
             "rootless": true, "endpoint": "unix:///x", "totals": {"pass": 1, "diverges": 1},
             "capabilities": {"build": {"support": "native"}},
             "features": {"heredoc": {"support": "unsupported", "reason": "old", "remedy": "upgrade"}}},
            {"name": "fake", "engine": "fake", "version": "0", "builder": "", "rootless": null,
             "totals": {}, "capabilities": {}, "features": {}}],
            "cases": [{"id": "copy/a", "promise": "A | B"}, {"id": "copy/b", "promise": "C"}],
            "results": [{"case": "copy/a", "column": "podman rootless", "verdict": "pass"},
              {"case": "copy/b", "column": "podman rootless", "verdict": "diverges",
               "reason": "known", "link": "https://example.com/1", "found": "x"}]}"#;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, text).unwrap();
        let report = Report::read(&path).unwrap();
        let row = "| podman, rootless | 4.3.1 | libpod | 1 | 1 | 0 |\n";
        assert!(report.table().ends_with(row), "{}", report.table());
        let page = report.page();
        for expected in [
            "| build | native |\n",
            "| heredoc | unsupported |\n",
            "- podman rootless, `heredoc`: old; upgrade\n",
            "| A \\| B (`copy/a`) | pass |\n",
            "- podman rootless, `copy/b`: known (<https://example.com/1>)\n",
        ] {
            assert!(page.contains(expected), "{expected}\n---\n{page}");
        }
        assert!(!page.contains("fake"));
    }

    #[test]
    fn columns_of_another_report_stand_beside_those_of_their_engine() {
        let report = |columns: &[(&str, &str)]| -> Report {
            let results: Vec<_> = columns.iter().map(|(name, _)| {
                serde_json::json!({"case": "copy/a", "column": name, "verdict": format!("of {name}")})
            }).collect();
            let columns: Vec<_> = columns.iter().map(|(name, engine)| {
                serde_json::json!({"name": name, "engine": engine, "version": "1", "builder": "portable",
                    "rootless": name.contains("rootless"), "capabilities": {}, "features": {},
                    "totals": {"pass": 1}})
            }).collect();
            let cases = [serde_json::json!({"id": "copy/a", "promise": "A"})];
            let report =
                serde_json::json!({"columns": columns, "cases": cases, "results": results});
            serde_json::from_value(report).unwrap()
        };
        let mut all = report(&[("embedded", "embedded"), ("podman", "podman")]);
        all.join(report(&[("embedded (rootless)", "embedded"), ("podman", "podman")]));
        let page = all.page();
        let row = "| A (`copy/a`) | of embedded | of embedded (rootless) | of podman |\n";
        assert!(page.contains(row), "{page}");
        assert!(all.table().contains("| embedded, rootless | 1 | portable | 1 | 0 | 0 |\n"));
    }
}
