//! The cases whose images are not the same everywhere, each with its reason.

/// A case whose images are not compared.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// The case.
    pub case: &'static str,
    /// What makes them differ.
    pub why: Why,
    /// The same in words, as a clause.
    pub reason: &'static str,
}

/// What makes images differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The case is about times, so that its builds have none that is given.
    Times,
    /// A step is not deterministic, or the case writes something that only this column has.
    Steps,
}

/// Returns what is known about a case.
#[must_use]
pub fn find(case: &str) -> Option<&'static Left> {
    LEFT.iter().find(|left| left.case == case)
}

/// Returns whether a case is about times.
pub(crate) fn is_about_times(case: &str) -> bool {
    find(case).is_some_and(|left| left.why == Why::Times)
}

const BY_CHANCE: &str = "a step writes a number that is drawn by chance";

/// Every case that is left out. One whose images turn out to be the same fails the run, so that this list never grows
/// old.
pub const LEFT: &[Left] = &[
    steps("cache/second-build", BY_CHANCE),
    steps("cache/not-used", BY_CHANCE),
    steps("cache/changed-file", BY_CHANCE),
    steps(
        "copy/link-out-of-the-context",
        "a link of the context leads to a folder that only its column has",
    ),
    steps(
        "secrets/nowhere-in-the-engine",
        "a step writes the name of its column, by which the search knows its file",
    ),
];

const fn steps(case: &'static str, reason: &'static str) -> Left {
    Left { case, why: Why::Steps, reason }
}

#[expect(dead_code, reason = "x")]
const fn times(case: &'static str, reason: &'static str) -> Left {
    Left { case, why: Why::Times, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_that_is_left_out_is_one_and_has_a_reason() {
        for left in LEFT {
            let is_of_a_corpus = crate::corpus::is_read(left.case.split('/').next().unwrap());
            assert!(
                is_of_a_corpus || crate::cases::all().any(|case| case.id == left.case),
                "{}",
                left.case
            );
            assert!(!left.reason.is_empty() && !left.reason.ends_with('.'), "{}", left.case);
        }
    }
}
