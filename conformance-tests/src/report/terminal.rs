//! The report for people: a matrix of cases and engines, then what needs explaining.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use super::Report;
use crate::native::Pair;
use crate::runner::Outcome;
use crate::verdict::Verdict;

/// Whether the text may carry colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For a terminal.
    Colored,
    /// For everything else.
    Plain,
}

impl Style {
    fn paint(self, code: &str, text: impl Display) -> String {
        match self {
            Self::Colored => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_string(),
        }
    }

    fn verdict(self, verdict: &Verdict, width: usize) -> String {
        let (code, word) = match verdict {
            Verdict::Pass => ("32", "pass"),
            Verdict::Fail { .. } => ("1;31", "FAIL"),
            Verdict::Unsupported { .. } => ("2", "unsupported"),
            Verdict::Diverges { .. } => ("33", "diverges"),
            Verdict::Broken { .. } => ("1;35", "BROKEN"),
        };
        self.paint(code, format!("{word:<width$}"))
    }
}

/// Returns one line about a case that just ended.
#[must_use]
pub fn progress(outcome: &Outcome, style: Style) -> String {
    let verdict = style.verdict(&outcome.verdict, 11);
    let mut line =
        format!("{verdict} {:6.1}s  {} on {}", outcome.seconds, outcome.case, outcome.column);
    if outcome.verdict.is_failure()
        && let Some(detail) = outcome.verdict.detail()
    {
        // Writing to a string cannot fail.
        let _ = write!(line, "\n            {detail}");
    }
    line
}

/// Returns the whole report. Its last line is `N passed, N failed`.
#[must_use]
pub fn render(report: &Report, style: Style) -> String {
    let mut text = engines(report, style);
    matrix(report, style, &mut text);
    notes(report, &mut text);
    comparisons(report, &mut text);
    text.push_str(&ending(report, style));
    text
}

/// Says what cases noted, and in how many columns.
fn notes(report: &Report, text: &mut String) {
    let mut noted: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for outcome in &report.results {
        if let Some(note) = &outcome.note {
            noted.entry((&outcome.case, note)).or_default().push(&outcome.column);
        }
    }
    let is_empty = noted.is_empty();
    for ((case, note), columns) in noted {
        line(text, format!("{case}: {note} on {}", columns.join(", ")));
    }
    if !is_empty {
        line(text, "");
    }
}

/// Says what was compared between columns.
pub(super) fn comparisons(report: &Report, text: &mut String) {
    let native = report.native.iter().map(Pair::lines);
    for lines in std::iter::once(report.one_digest.lines()).chain(native) {
        if !lines.is_empty() {
            lines.iter().for_each(|it| line(text, it));
            line(text, "");
        }
    }
}

/// Returns what needs explaining, and the totals.
pub(super) fn ending(report: &Report, style: Style) -> String {
    let mut text = String::new();
    explain(report, style, &mut text);
    let others: Vec<String> = ["unsupported", "diverges"]
        .into_iter()
        .map(|name| (name, report.count(name)))
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| {
            format!("{count} {}", if name == "diverges" { "diverging" } else { name })
        })
        .collect();
    if !others.is_empty() {
        line(&mut text, format!("besides: {}", others.join(", ")));
    }
    line(&mut text, format!("{} passed, {} failed", report.count("pass"), report.failures()));
    text
}

fn line(text: &mut String, line: impl Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

/// Returns the engines that there are, and those that are not.
pub(super) fn engines(report: &Report, style: Style) -> String {
    let mut text = String::new();
    let width = report.columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
    for column in &report.columns {
        let name = style.paint("1", format!("{:<width$}", column.name));
        line(&mut text, format!("{name}  {} at {}", column.version, column.endpoint));
    }
    // An engine that is nowhere is said once, however many places were looked at.
    let mut absent: BTreeMap<&str, usize> = BTreeMap::new();
    for missing in &report.missing {
        match &missing.reason {
            Some(reason) => {
                let word = if missing.required { "required, and unusable" } else { "unusable" };
                let word = style.paint(if missing.required { "1;31" } else { "33" }, word);
                let (engine, place) = (&missing.engine, &missing.place);
                line(&mut text, format!("{engine}: {word}: {reason} ({place})"));
            }
            None if missing.required => {
                let word = style.paint("1;31", "required, and absent");
                let (engine, place) = (&missing.engine, &missing.place);
                line(&mut text, format!("{engine}: {word}: nothing at {place}"));
            }
            None => *absent.entry(&missing.engine).or_default() += 1,
        }
    }
    if !absent.is_empty() {
        let names: Vec<_> = absent.into_keys().collect();
        line(&mut text, style.paint("2", format!("absent: {}", names.join(", "))));
    }
    line(&mut text, "");
    text
}

fn matrix(report: &Report, style: Style, text: &mut String) {
    if report.columns.is_empty() || report.cases.is_empty() {
        return;
    }
    let first = report.cases.iter().map(|case| case.id.len()).max().unwrap_or(0);
    let widths: Vec<usize> =
        report.columns.iter().map(|column| column.name.len().max("unsupported".len())).collect();
    let mut header = format!("{:<first$}", "");
    for (column, &width) in report.columns.iter().zip(&widths) {
        let _ = write!(header, "  {}", style.paint("1", format!("{:<width$}", column.name)));
    }
    line(text, header.trim_end());
    let mut subject = "";
    for case in &report.cases {
        let this = case.id.split('/').next().unwrap_or_default();
        if this != subject && !subject.is_empty() {
            line(text, "");
        }
        subject = this;
        let mut row = format!("{:<first$}", case.id);
        for (column, &width) in report.columns.iter().zip(&widths) {
            let cell = report.result(&case.id, &column.name).map_or_else(
                || format!("{:<width$}", "-"),
                |result| style.verdict(&result.verdict, width),
            );
            let _ = write!(row, "  {cell}");
        }
        line(text, row.trim_end());
    }
    line(text, "");
    for name in Verdict::NAMES {
        let mut row = format!("{name:<first$}");
        for (column, &width) in report.columns.iter().zip(&widths) {
            let total = column.totals.get(name).copied().unwrap_or_default();
            let _ = write!(row, "  {total:<width$}");
        }
        line(text, row.trim_end());
    }
    line(text, "");
}

fn explain(report: &Report, style: Style, text: &mut String) {
    let mut reasons: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for result in &report.results {
        let (Verdict::Unsupported { .. } | Verdict::Diverges { .. }) = &result.verdict else {
            continue;
        };
        let detail = result.verdict.detail().unwrap_or_default();
        let detail = format!("{}: {detail}", result.verdict);
        reasons.entry((&result.column, detail)).or_default().push(&result.case);
    }
    for ((column, detail), cases) in reasons {
        line(text, format!("{} {detail}", style.paint("1", column)));
        line(text, format!("    {}", cases.join(", ")));
    }
    let failed = report.results.iter().filter(|result| result.verdict.is_failure());
    for result in failed {
        let promise = report.cases.iter().find(|case| case.id == result.case);
        let promise = promise.map(|case| case.promise.as_str()).unwrap_or_default();
        line(text, "");
        let verdict = style.verdict(&result.verdict, 0);
        line(text, format!("{verdict} {} on {}", result.case, style.paint("1", &result.column)));
        line(text, format!("    promise:  {promise}"));
        line(text, format!("    found:    {}", result.verdict.detail().unwrap_or_default()));
        if let Some(evidence) = &result.evidence {
            line(text, format!("    evidence: {}", evidence.display()));
        }
    }
    line(text, "");
}
