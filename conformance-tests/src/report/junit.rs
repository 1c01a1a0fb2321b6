//! The report as JUnit, for what shows the results of tests: `junit.xml`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::Report;
use crate::case::{CaseResult, Failure};
use crate::runner::Outcome;
use crate::verdict::Verdict;

/// Writes the report to `file`: one suite for each engine, and for each corpus on it.
///
/// # Errors
///
/// [`Failure::Harness`] when the file cannot be written.
pub fn write(report: &Report, file: &Path) -> CaseResult {
    let mut junit = Junit::new("conformance");
    junit.set_time(Duration::from_secs_f64(report.seconds));
    for column in &report.columns {
        let mut suite = TestSuite::new(column.name.as_str());
        suite.add_property(("engine", column.engine.as_str()));
        suite.add_property(("version", column.version.as_str()));
        suite.add_property(("endpoint", column.endpoint.as_str()));
        let results = report.results.iter().filter(|result| result.column == column.name);
        let mut corpora: BTreeMap<&str, TestSuite> = BTreeMap::new();
        for result in results {
            let suite = match corpus_of(report, result) {
                None => &mut suite,
                Some(corpus) => corpora
                    .entry(corpus)
                    .or_insert_with(|| TestSuite::new(format!("{}: {corpus}", column.name))),
            };
            suite.add_test_case(test_case(result));
        }
        junit.add_test_suite(suite);
        junit.add_test_suites(corpora.into_values());
    }
    let required = report.missing.iter().filter(|missing| missing.required);
    for missing in required {
        let mut suite = TestSuite::new(missing.engine.as_str());
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        let nothing = format!("there is nothing at {}", missing.place);
        status.set_message(missing.reason.clone().unwrap_or(nothing));
        suite.add_test_case(TestCase::new("is ready", status));
        junit.add_test_suite(suite);
    }
    let text = junit
        .to_string()
        .map_err(|error| Failure::harness(format!("the report is no XML: {error}")))?;
    Ok(std::fs::write(file, text)?)
}

/// Returns the corpus that a case is of, if it is of one.
fn corpus_of<'r>(report: &Report, result: &'r Outcome) -> Option<&'r str> {
    let case = report.cases.iter().find(|case| case.id == result.case)?;
    (!case.groups.is_empty()).then(|| result.case.split('/').next())?
}

fn test_case(result: &Outcome) -> TestCase {
    let mut status = match &result.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail { .. } => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Broken { .. } => TestCaseStatus::non_success(NonSuccessKind::Error),
        Verdict::Unsupported { .. } | Verdict::Diverges { .. } => TestCaseStatus::skipped(),
    };
    if let Some(detail) = result.verdict.detail() {
        status.set_message(format!("{}: {detail}", result.verdict));
    }
    let mut case = TestCase::new(result.case.as_str(), status);
    case.set_classname(result.column.as_str());
    case.set_time(Duration::from_secs_f64(result.seconds));
    case
}
