//! The report as one page for people: `report.html`. It needs no network and no script.

use std::fmt::Write as _;
use std::path::Path;

use super::{CaseReport, ColumnReport, Report};
use crate::case::CaseResult;
use crate::runner::Outcome;
use crate::verdict::Verdict;

/// Writes the report to `file`.
///
/// # Errors
///
/// [`Failure::Harness`](crate::case::Failure::Harness) when the file cannot be written.
pub fn write(report: &Report, file: &Path) -> CaseResult {
    Ok(std::fs::write(file, render(report))?)
}

/// Returns the page.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = String::new();
    let (cases, engines) = (report.cases.len(), report.columns.len());
    let verdict = match report.failures() {
        0 => "every promise is kept or its gap is declared".to_owned(),
        count => format!("{count} failures"),
    };
    let summary = format!("{cases} promises on {engines} engines in {:.0} s", report.seconds);
    // Writing to a string cannot fail.
    let _ = write!(page, "{HEAD}<h1>Engine conformance</h1>\n<p>{summary}: {verdict}.</p>\n");
    bars(report, &mut page);
    missing(report, &mut page);
    one_digest(report, &mut page);
    native(report, &mut page);
    let mut cases = report.cases.as_slice();
    page.push_str("<h2>Promises</h2>\n");
    while let Some(first) = cases.first() {
        let name = subject(first);
        let end = cases.iter().position(|case| subject(case) != name).unwrap_or(cases.len());
        let (of_group, rest) = cases.split_at(end);
        grid(report, name, of_group, &mut page);
        cases = rest;
    }
    page.push_str("</body></html>\n");
    page
}

/// The part of a case's id before the slash.
fn subject(case: &CaseReport) -> &str {
    case.id.split_once('/').map_or(case.id.as_str(), |(subject, _)| subject)
}

/// Draws a bar for each engine: how many promises came to each verdict.
fn bars(report: &Report, page: &mut String) {
    page.push_str("<table class=\"bars\">\n");
    for column in &report.columns {
        let all: usize = column.totals.values().sum();
        let _ = write!(page, "<tr><th>{}</th><td><div class=\"bar\">", title(column));
        for name in Verdict::NAMES {
            let count = column.totals.get(name).copied().unwrap_or(0);
            if count > 0 {
                let share = 100.0 * count as f64 / all as f64;
                let _ = write!(
                    page,
                    "<span class=\"{name}\" style=\"width:{share:.2}%\" title=\"{count} {name}\"></span>"
                );
            }
        }
        page.push_str("</div></td><td class=\"numbers\">");
        let numbers = Verdict::NAMES.into_iter().filter_map(|name| {
            let count = column.totals.get(name).copied().filter(|&count| count > 0)?;
            Some(format!("<b class=\"{name}-ink\">{count}</b> {name}"))
        });
        page.push_str(&numbers.collect::<Vec<_>>().join(", "));
        page.push_str("</td></tr>\n");
    }
    page.push_str("</table>\n");
}

fn missing(report: &Report, page: &mut String) {
    if report.missing.is_empty() {
        return;
    }
    page.push_str("<h2>Not there</h2>\n<ul>\n");
    for missing in &report.missing {
        let reason = missing.reason.as_deref().map(|it| format!(": {}", escape(it)));
        let required = if missing.required { " <b class=\"fail-ink\">required</b>" } else { "" };
        let (engine, place) = (escape(&missing.engine), escape(&missing.place));
        let reason = reason.unwrap_or_default();
        let _ = writeln!(page, "<li><b>{engine}</b>{required} at {place}{reason}</li>");
    }
    page.push_str("</ul>\n");
}

/// Says whether portable builds have one digest, and what is left that has not.
fn one_digest(report: &Report, page: &mut String) {
    let lines = report.one_digest.lines();
    let Some((summary, left)) = lines.split_first() else { return };
    let _ = write!(page, "<h2>One digest</h2>\n<p>{}.</p>\n<ul>\n", escape(summary));
    for line in left {
        let _ = writeln!(page, "<li>{}</li>", escape(line.trim()));
    }
    page.push_str("</ul>\n");
}

/// Says what engines' own builders make otherwise than the portable one.
fn native(report: &Report, page: &mut String) {
    if report.native.is_empty() {
        return;
    }
    page.push_str("<h2>Native and portable builds</h2>\n<ul>\n");
    for pair in &report.native {
        let lines = pair.lines();
        let Some((summary, kinds)) = lines.split_first() else { continue };
        let _ = write!(page, "<li>{}", escape(summary));
        for kind in kinds {
            let _ = write!(page, "<br><small>{}</small>", escape(kind.trim()));
        }
        page.push_str("</li>\n");
    }
    page.push_str("</ul>\n");
}

/// Draws the cases of one subject: a row for each, a square for each engine. It is open when something failed.
fn grid(report: &Report, name: &str, cases: &[CaseReport], page: &mut String) {
    let outcomes = |case: &CaseReport| -> Vec<Option<&Outcome>> {
        report.columns.iter().map(|column| report.result(&case.id, &column.name)).collect()
    };
    let rows: Vec<_> = cases.iter().map(|case| (case, outcomes(case))).collect();
    let all = || rows.iter().flat_map(|(_, row)| row.iter().flatten());
    let failed = all().any(|outcome| outcome.verdict.is_failure());
    let open = if failed { " open" } else { "" };
    let _ = write!(page, "<details{open}><summary>{} <small>", escape(name));
    for verdict in Verdict::NAMES {
        let count = all().filter(|outcome| outcome.verdict.name() == verdict).count();
        if count > 0 {
            let _ = write!(page, "<i class=\"{verdict}\"></i>{count} ");
        }
    }
    page.push_str("</small></summary>\n<table class=\"grid\">\n<tr><td></td>");
    for column in &report.columns {
        let _ = write!(page, "<th>{}</th>", title(column));
    }
    page.push_str("</tr>\n");
    for (case, row) in rows {
        let (id, promise) = (escape(&case.id), escape(&case.promise));
        let _ = write!(page, "<tr><td>{promise}<br><code>{id}</code></td>");
        for outcome in row {
            cell(outcome, page);
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></details>\n");
}

fn cell(outcome: Option<&Outcome>, page: &mut String) {
    let Some(outcome) = outcome else { return page.push_str("<td></td>") };
    let name = outcome.verdict.name();
    let _ = write!(page, "<td><i class=\"{name}\"></i>");
    if let Some(detail) = outcome.verdict.detail() {
        let _ = write!(page, "<span class=\"why\"><b>{name}</b> {}</span>", escape(&detail));
    }
    page.push_str("</td>");
}

fn title(column: &ColumnReport) -> String {
    let rootless = if column.rootless == Some(true) { ", rootless" } else { "" };
    let (name, version) = (escape(&column.engine), escape(&column.version));
    format!("{name} {version}<br><small>{}{rootless}</small>", escape(&column.builder))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Engine conformance</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff; }
h2 { margin: 2rem 0 .5rem; }
table { border-collapse: collapse; }
th { text-align: left; font-weight: 600; padding: .3rem .8rem .3rem 0; vertical-align: bottom; }
small { font-weight: 400; color: #57606a; }
.bars td { padding: .3rem .8rem .3rem 0; }
.bar { display: flex; width: 28rem; max-width: 45vw; height: 1.1rem; border-radius: .3rem; overflow: hidden; background: #eaeef2; }
.grid { margin: .5rem 0 1.2rem; width: 100%; }
.grid td { border-top: 1px solid #d8dee4; padding: .35rem .8rem .35rem 0; vertical-align: top; max-width: 24rem; }
.grid code { color: #57606a; font-size: .8rem; }
i { display: inline-block; width: .8rem; height: .8rem; border-radius: .2rem; margin: 0 .25rem -.05rem .4rem; }
.grid td > i { margin-left: 0; }
.why { display: block; font-size: .8rem; color: #57606a; }
summary { cursor: pointer; padding: .35rem 0; font-weight: 600; border-top: 1px solid #d8dee4; }
.pass { background: #2da44e; } .fail { background: #cf222e; } .unsupported { background: #afb8c1; }
.diverges { background: #d4a72c; } .broken { background: #8250df; }
.pass-ink { color: #1a7f37; } .fail-ink { color: #cf222e; } .unsupported-ink { color: #57606a; }
.diverges-ink { color: #9a6700; } .broken-ink { color: #8250df; }
@media (prefers-color-scheme: dark) {
body { background: #0d1117; color: #e6edf3; } .bar { background: #30363d; }
small, .why, .grid code, .unsupported-ink { color: #9198a1; } .grid td, summary { border-color: #30363d; }
.pass-ink { color: #3fb950; } .diverges-ink { color: #d29922; } .broken-ink { color: #a371f7; } .fail-ink { color: #f85149; }
}
</style></head><body>
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn report(verdict: Verdict) -> Report {
        let outcome = |case: &str, verdict: &Verdict| {
            let value = serde_json::json!({"case": case, "column": "x", "seconds": 0.5});
            let mut value = value.as_object().cloned().unwrap();
            let verdict = serde_json::to_value(verdict).unwrap();
            value.extend(verdict.as_object().cloned().unwrap());
            serde_json::from_value::<Outcome>(value.into()).unwrap()
        };
        let column = ColumnReport {
            name: "x".into(),
            engine: "engine<1>".into(),
            version: "2".into(),
            endpoint: "here".into(),
            builder: "native".into(),
            rootless: Some(true),
            capabilities: BTreeMap::new(),
            features: BTreeMap::new(),
            totals: BTreeMap::from([("pass".into(), 3), (verdict.name().into(), 1)]),
        };
        let case = |id: &str| CaseReport {
            id: id.into(),
            promise: format!("{id} & kept"),
            groups: Vec::new(),
        };
        Report {
            format: 1,
            run: "r".into(),
            words: String::new(),
            seconds: 2.0,
            columns: vec![column],
            missing: Vec::new(),
            one_digest: crate::one_digest::OneDigest::default(),
            native: Vec::new(),
            cases: vec![case("copy/a"), case("run/b")],
            results: vec![outcome("copy/a", &Verdict::Pass), outcome("run/b", &verdict)],
        }
    }

    #[test]
    fn a_failure_is_open_and_says_why_and_the_rest_is_folded() {
        let page = render(&report(Verdict::Fail { reason: "mode <0640>".into() }));
        assert!(page.contains("<details><summary>copy "), "{page}");
        assert!(page.contains("<details open><summary>run "), "{page}");
        assert!(page.contains("<b>fail</b> mode &lt;0640&gt;"), "{page}");
        assert!(page.contains("style=\"width:75.00%\" title=\"3 pass\""), "{page}");
        assert!(page.contains("engine&lt;1&gt; 2<br><small>native, rootless</small>"), "{page}");
        assert!(page.contains("copy/a &amp; kept<br><code>copy/a</code>"), "{page}");
    }

    #[test]
    fn nothing_from_elsewhere_is_loaded() {
        let page = render(&report(Verdict::Broken { reason: "no base".into() }));
        for outside in ["http", "<script", "url(", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
