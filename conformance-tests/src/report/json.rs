//! The report as JSON, for programs: `report.json`.

use std::path::Path;

use super::Report;
use crate::case::{CaseResult, Failure};

/// Writes the report to `file`.
///
/// # Errors
///
/// [`Failure::Harness`] when the file cannot be written.
pub fn write(report: &Report, file: &Path) -> CaseResult {
    let text = serde_json::to_string_pretty(report)
        .map_err(|error| Failure::harness(format!("the report is no JSON: {error}")))?;
    Ok(std::fs::write(file, text + "\n")?)
}

/// Reads a report.
///
/// # Errors
///
/// [`Failure::Harness`] when there is none in `file`.
pub fn read(file: &Path) -> CaseResult<Report> {
    let text = std::fs::read_to_string(file)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::harness(format!("{} is no report: {error}", file.display())))
}
