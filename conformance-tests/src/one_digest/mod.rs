//! One digest: whether each build gave the same manifest digest on every portable column.
//!
//! Portable builds of the suite have a fixed `SOURCE_DATE_EPOCH` and the same label on every column, and each column has a
//! store of its own, so that nothing of one column can be the result of another. What the builds made is noted, and
//! compared when all cases are done; also with what other runs noted in their reports.

use std::collections::{BTreeMap, BTreeSet};

use boxwright_core::Digest;
use serde::{Deserialize, Serialize};

use crate::made::Made;
use crate::runner::Outcome;

mod difference;
mod judge;
pub mod left;

pub(crate) use judge::{judge, names};

/// The id under which it is told whether a column gives the digests of the others. It comes after all cases.
pub(crate) const ONE_DIGEST: &str = "suite/one-digest";

/// What [`ONE_DIGEST`] promises.
pub(crate) const PROMISE: &str =
    "every deterministic build has the manifest digest that it has on every other portable builder";

/// What the portable columns of a run, and of others, made of the same cases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneDigest {
    /// The columns that were compared.
    pub columns: Vec<String>,
    /// How many cases built something on two columns or more, and were compared.
    pub cases: usize,
    /// How many builds that were.
    pub builds: usize,
    /// How many of the builds were made on every column: the others are of cases that a column does not support.
    pub on_all: usize,
    /// The cases and builds that differ.
    pub differ: Vec<Differing>,
    /// The cases that were not compared, with the reason.
    pub left: Vec<Uncompared>,
}

/// A build that has several digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differing {
    /// The case.
    pub case: String,
    /// Which of its builds, from 1.
    pub build: usize,
    /// The columns by digest, where each is known.
    pub digests: BTreeMap<String, Vec<String>>,
}

/// A case that was not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncompared {
    /// The case.
    pub case: String,
    /// Why, as a clause.
    pub reason: String,
}

/// The word for a digest that is not known.
const UNKNOWN: &str = "unknown";

impl OneDigest {
    /// Compares what `outcomes` have of the columns called `columns`, and adds what a report of another run has.
    #[must_use]
    pub fn of<'o>(columns: &[String], outcomes: impl IntoIterator<Item = &'o Outcome>) -> Self {
        let mut builds: BTreeMap<(&str, usize), Vec<(&str, &Made)>> = BTreeMap::new();
        for outcome in outcomes.into_iter().filter(|it| columns.contains(&it.column)) {
            for (number, made) in outcome.builds.iter().enumerate() {
                if let Some(made) = made {
                    let build = (outcome.case.as_str(), number + 1);
                    builds.entry(build).or_default().push((&outcome.column, made));
                }
            }
        }
        let mut found = Self { columns: columns.to_vec(), ..Self::default() };
        let (mut compared, mut left) = (BTreeSet::new(), BTreeSet::new());
        for ((case, build), made) in builds.into_iter().filter(|(_, made)| made.len() > 1) {
            if left::find(case).is_some() {
                left.insert(case);
                continue;
            }
            compared.insert(case);
            found.builds += 1;
            found.on_all += usize::from(made.len() == columns.len());
            let digests = by_digest(&made);
            if digests.len() > 1 || digests.contains_key(UNKNOWN) {
                found.differ.push(Differing { case: case.to_owned(), build, digests });
            }
        }
        found.cases = compared.len();
        let reason = |case: &str| left::find(case).map(|left| left.reason.to_owned());
        found.left = left
            .into_iter()
            .filter_map(|case| Some(Uncompared { case: case.to_owned(), reason: reason(case)? }))
            .collect();
        found
    }

    /// Says what was found in a few lines, or nothing where there was nothing to compare.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        if self.columns.len() < 2 {
            return Vec::new();
        }
        let Self { cases, builds, on_all, .. } = self;
        let count = self.columns.len();
        let mut lines = vec![format!(
            "one digest: {builds} builds of {cases} cases, {on_all} of them on all {count} portable columns: {}",
            match self.differ.len() {
                0 => "each has the same manifest digest everywhere".to_owned(),
                count => format!("{count} differ"),
            }
        )];
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Uncompared { case, reason } in &self.left {
            reasons.entry(reason).or_default().push(case);
        }
        lines.extend(
            reasons.iter().map(|(why, cases)| format!("  left: {why}: {}", cases.join(", "))),
        );
        lines
    }
}

fn by_digest(made: &[(&str, &Made)]) -> BTreeMap<String, Vec<String>> {
    let mut digests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (column, made) in made {
        let digest = made.digest.as_ref().map_or(UNKNOWN, Digest::as_str);
        digests.entry(digest.to_owned()).or_default().push((*column).to_owned());
    }
    digests
}

impl Differing {
    /// Returns the columns that have the digest of most, the first one of several that as many have.
    #[must_use]
    pub fn most(&self) -> &[String] {
        let known = self.digests.iter().filter(|(digest, _)| *digest != UNKNOWN);
        let most = known.rev().max_by_key(|(_, columns)| columns.len());
        most.map_or(&[], |(_, columns)| columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn digest(digit: char) -> Digest {
        format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
    }

    /// What a case made on a column: a digest for each build, or nothing.
    fn outcome(case: &str, column: &str, digests: &str) -> Outcome {
        let made = |digit: char| {
            (digit != '-').then(|| Made { id: digest(digit), digest: Some(digest(digit)) })
        };
        let builds = digests.chars().map(made).collect();
        Outcome { builds, ..Outcome::new(case, column, Verdict::Pass) }
    }

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn builds_are_compared_by_case_and_number() {
        let outcomes = [
            outcome("a/same", "x", "12"),
            outcome("a/same", "y", "12"),
            outcome("a/same", "z", "1-"),
            outcome("b/other", "x", "3"),
            outcome("b/other", "y", "4"),
            outcome("b/other", "z", "4"),
            outcome("c/alone", "x", "5"),
            outcome("a/same", "native", "6"),
            outcome("cache/not-used", "x", "7"),
            outcome("cache/not-used", "y", "8"),
        ];
        let found = OneDigest::of(&columns(&["x", "y", "z"]), &outcomes);
        assert_eq!((found.cases, found.builds, found.on_all), (2, 3, 2));
        assert_eq!(found.left[0].case, "cache/not-used");
        let [differing] = found.differ.as_slice() else { panic!("{:?}", found.differ) };
        assert_eq!((differing.case.as_str(), differing.build), ("b/other", 1));
        assert_eq!(differing.most(), ["y", "z"]);
        let lines = found.lines();
        assert_eq!(
            lines[0],
            "one digest: 3 builds of 2 cases, 2 of them on all 3 portable columns: 1 differ"
        );
        assert_eq!(
            lines[1],
            "  left: a step writes a number that is drawn by chance: cache/not-used"
        );
    }

    #[test]
    fn a_digest_that_is_not_known_is_not_the_same() {
        let mut outcomes = [outcome("a/b", "x", "1"), outcome("a/b", "y", "1")];
        assert_eq!(OneDigest::of(&columns(&["x", "y"]), &outcomes).differ, []);
        for outcome in &mut outcomes {
            outcome.builds[0].as_mut().unwrap().digest = None;
        }
        assert_eq!(OneDigest::of(&columns(&["x", "y"]), &outcomes).differ.len(), 1);
        assert!(OneDigest::of(&columns(&["x"]), &outcomes).lines().is_empty());
    }

    #[test]
    fn a_case_that_is_left_out_and_the_same_is_noticed() {
        let name = "cache/not-used";
        for (other, stale) in [("1", vec![name]), ("2", vec![])] {
            let outcomes = [outcome(name, "x", "1"), outcome(name, "y", other)];
            assert_eq!(judge::stale(&columns(&["x", "y"]), &outcomes, &[]), stale);
        }
    }
}
