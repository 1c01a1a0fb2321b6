//! Whether two engines made the same of a case: what decides where a case says no more than that it can be built.

use boxwright_core::Error;

use super::case::{CorpusCase, Job};
use super::snapshot::Leave;
use crate::case::{Failure, Runnable as _};
use crate::column::Column;
use crate::runner::{Outcome, known};
use crate::verdict::Verdict;

/// What the ids of agreements end with.
pub(crate) const SUFFIX: &str = "/agrees";

/// Compares what each column made with what the first one made, or the one called `reference`.
///
/// # Errors
///
/// [`InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when there is no such column.
pub fn agreements(
    cases: &[CorpusCase],
    columns: &[Column],
    reference: Option<&str>,
) -> Result<Vec<Outcome>, Error> {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let reference = match reference {
        Some(name) if !names.contains(&name) => {
            let error = Error::new(
                boxwright_core::ErrorKind::InvalidInput,
                format!("there is no column `{name}` to compare with"),
            );
            return Err(error.with_remedy(format!("use one of `{}`", names.join("`, `"))));
        }
        Some(name) => name,
        None => names.first().copied().unwrap_or_default(),
    };
    let Some(around) = cases.first().map(CorpusCase::around) else { return Ok(Vec::new()) };
    let made = around.take();
    let made_by = |case: &str, column: &str| made.get(&(case.to_owned(), column.to_owned()));
    let nothing = Leave::default();
    let mut outcomes = Vec::new();
    for case in cases {
        let Some(theirs) = made_by(case.id(), reference) else { continue };
        let leave = match case.job() {
            Job::Build(build) => &build.leave,
            Job::Steps(_) | Job::Broken(_) => &nothing,
        };
        for column in columns.iter().filter(|column| column.name != reference) {
            let Some(ours) = made_by(case.id(), &column.name) else { continue };
            let found = match ours.difference(theirs, leave) {
                None => Verdict::Pass,
                Some(difference) => {
                    let message = format!("unlike that of {reference}: {difference}");
                    Verdict::Fail { reason: Failure::promise(message).to_string() }
                }
            };
            let id = format!("{}{SUFFIX}", case.id());
            let verdict = known(&id, column, found);
            outcomes.push(Outcome::new(id, column.name.as_str(), verdict));
        }
    }
    Ok(outcomes)
}
