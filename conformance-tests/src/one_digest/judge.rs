//! The verdict on each portable column.

use super::difference::difference;
use super::{Differing, ONE_DIGEST, OneDigest, left};
use crate::column::Column;
use crate::runner::Outcome;
use crate::verdict::Verdict;

/// How many builds of a column are explained.
const EXPLAINED: usize = 5;

/// Judges each portable column of `columns` by what all cases came to, and by `others`: columns of other runs with what
/// they made. Nothing is said where there is one column alone.
pub(crate) async fn judge(
    columns: &[Column],
    outcomes: &[Outcome],
    others: &[Outcome],
) -> Vec<Outcome> {
    let found = OneDigest::of(&names(columns, others), outcomes.iter().chain(others));
    if found.columns.len() < 2 {
        return Vec::new();
    }
    let stale = stale(&found.columns, outcomes, others);
    let mut verdicts = Vec::new();
    for column in columns.iter().filter(|column| column.is_fixed) {
        let start = std::time::Instant::now();
        let own = found.differ.iter().filter(|build| !build.most().contains(&column.name));
        let mut problems: Vec<String> = stale.iter().map(|case| said_to_differ(case)).collect();
        let count = own.clone().count();
        for build in own.take(EXPLAINED) {
            problems.push(explain(column, build, columns, outcomes).await);
        }
        if count > EXPLAINED {
            problems.push(format!("and {} more builds", count - EXPLAINED));
        }
        let verdict = match problems.is_empty() {
            true => Verdict::Pass,
            false => Verdict::Fail { reason: problems.join("; ") },
        };
        verdicts.push(Outcome::since(start, ONE_DIGEST, column, verdict));
    }
    verdicts
}

/// Returns the names of all columns that are compared.
pub(crate) fn names(columns: &[Column], others: &[Outcome]) -> Vec<String> {
    let own = columns.iter().filter(|column| column.is_fixed).map(|column| column.name.clone());
    let mut names: Vec<String> = own.collect();
    for outcome in others {
        if !names.contains(&outcome.column) {
            names.push(outcome.column.clone());
        }
    }
    names
}

fn said_to_differ(case: &str) -> String {
    format!("`{case}` is listed as not deterministic, and is the same on every column")
}

/// Returns the cases that are left out although all that they made is the same on several columns.
pub(super) fn stale(
    columns: &[String],
    outcomes: &[Outcome],
    others: &[Outcome],
) -> Vec<&'static str> {
    let is_stale = |case: &str| {
        let all = outcomes.iter().chain(others);
        let of_it = all.filter(|it| it.case == case && columns.contains(&it.column));
        let made: Vec<_> = of_it.map(|it| &it.builds).filter(|it| !it.is_empty()).collect();
        made.len() > 1 && made.windows(2).all(|two| two[0] == two[1])
    };
    left::LEFT.iter().map(|left| left.case).filter(|case| is_stale(case)).collect()
}

/// Says which build of which case differs on `column`, from which columns, and in what.
async fn explain(
    column: &Column,
    build: &Differing,
    columns: &[Column],
    outcomes: &[Outcome],
) -> String {
    let made = |name: &str| {
        let outcome = outcomes.iter().find(|it| it.case == build.case && it.column == name)?;
        outcome.builds.get(build.build - 1)?.as_ref()
    };
    let Differing { case, build: number, .. } = build;
    let Some(own) = made(&column.name) else {
        return format!("build {number} of `{case}` differs between {}", build.most().join(", "));
    };
    let Some(digest) = &own.digest else {
        return format!("the digest of build {number} of `{case}` is not known");
    };
    let most = build.most();
    let other = columns.iter().find(|column| most.contains(&column.name));
    let what = match (other, other.and_then(|other| made(&other.name))) {
        (Some(other), Some(theirs)) => difference((column, &own.id), (other, &theirs.id)).await,
        _ => "what differs is in the images of another run".to_owned(),
    };
    let most = most.join(", ");
    format!("build {number} of `{case}` is {} and not that of {most}: {what}", digest.short())
}
