//! `--corpus DIR`: runs corpora instead of the suite's own cases.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Instant;

use boxwright_core::{Error, ErrorKind, Host, Result};

use super::agreement::{SUFFIX, agreements};
use super::{Corpora, CorpusCase, NameMap};
use crate::case::Runnable as _;
use crate::command::{Arguments, cannot_write, columns, write_report};
use crate::report::terminal::{self, Style};
use crate::report::{CaseReport, Report, by_corpus};
use crate::runner::Run;

/// The variable that the pairs of `--registry-map` come from, with commas between, where none are given.
const MAP: &str = "BOXWRIGHT_TEST_REGISTRY_MAP";

/// Runs what `arguments` say, and returns whether all came out as expected. A folder that is not there is said, and is
/// no failure.
pub(crate) async fn run(
    arguments: &Arguments,
    host: &Host,
    style: Style,
    out: &mut (dyn Write + Send),
    progress: &mut (dyn Write + Send),
) -> Result<bool> {
    let names = match arguments.registry_map.as_slice() {
        [] => NameMap::parse(host.variable(MAP).into_iter().flat_map(|map| map.split(',')))?,
        pairs => NameMap::parse(pairs.iter().map(String::as_str))?,
    };
    let mut cases = Vec::new();
    for folder in &arguments.corpus {
        let corpora = Corpora::read(&host.absolute(folder), names.clone());
        for note in corpora.notes {
            writeln!(out, "left out: {note}").map_err(cannot_write)?;
        }
        cases.extend(corpora.cases);
    }
    let is_there = !cases.is_empty();
    let cases = select(cases, arguments);
    if arguments.list {
        for case in &cases {
            let groups = case.groups().join(", ");
            writeln!(out, "{}  {groups}", case.id()).map_err(cannot_write)?;
        }
        return Ok(true);
    }
    if cases.is_empty() {
        if is_there {
            return Err(Error::new(ErrorKind::InvalidInput, "no case is left to run")
                .with_remedy("see all cases with `--list`"));
        }
        writeln!(out, "0 passed, 0 failed").map_err(cannot_write)?;
        return Ok(true);
    }
    let mut columns = columns(arguments, host).await?;
    columns.compare_no_digests();
    let mut run = Run::new(cases, columns.ready);
    run.parallel = arguments.parallel.unwrap_or(run.parallel);
    run.evidence =
        arguments.report_dir.as_ref().map(|folder| host.absolute(folder).join("failures"));
    let start = Instant::now();
    let mut results = run
        .run(host, |outcome| {
            // Who listens to the progress may leave; the report comes all the same.
            let _ = writeln!(progress, "{}", terminal::progress(outcome, style));
        })
        .await;
    let agreed = agreements(&run.cases, &run.columns, arguments.reference.as_deref())?;
    for outcome in agreed.iter().filter(|outcome| outcome.verdict.is_failure()) {
        let _ = writeln!(progress, "{}", terminal::progress(outcome, style));
    }
    results.extend(agreed);
    let seconds = start.elapsed().as_secs_f64();
    let mut report = Report::new(&run, results, &columns.missing, &arguments.require, seconds);
    report.cases = with_agreements(&report);
    write_report(&report, arguments, host)?;
    out.write_all(by_corpus::render(&report, style).as_bytes()).map_err(cannot_write)?;
    Ok(report.failures() == 0)
}

/// Lists the cases, each with its agreement behind it if there is one.
fn with_agreements(report: &Report) -> Vec<CaseReport> {
    let compared: BTreeSet<&str> = report.results.iter().map(|it| it.case.as_str()).collect();
    let mut all = Vec::new();
    for case in &report.cases {
        let id = format!("{}{SUFFIX}", case.id);
        let promise = "two engines make the same of it".to_owned();
        let agreement = CaseReport { id, promise, groups: case.groups.clone() };
        all.push(case.clone());
        all.extend(Some(agreement).filter(|it| compared.contains(it.id.as_str())));
    }
    all
}

fn select(cases: Vec<CorpusCase>, arguments: &Arguments) -> Vec<CorpusCase> {
    let has = |id: &str, texts: &[String]| texts.iter().any(|text| id.contains(text.as_str()));
    let is_wanted = |case: &CorpusCase| {
        (arguments.focus.is_empty() || has(case.id(), &arguments.focus))
            && !has(case.id(), &arguments.skip)
            && arguments.images.is_none_or(|most| case.images() <= most)
    };
    cases.into_iter().filter(is_wanted).collect()
}
