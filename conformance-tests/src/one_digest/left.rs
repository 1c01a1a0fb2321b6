//! The cases whose images are not the same everywhere, each with its reason.

/// A case whose images are not compared.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// The case.
    pub case: &'static str,
    /// What makes them differ, as a clause.
    pub reason: &'static str,
}

/// Returns what is known about a case.
#[must_use]
pub fn find(case: &str) -> Option<&'static Left> {
    LEFT.iter().find(|left| left.case == case)
}

const BY_CHANCE: &str = "a step writes a number that is drawn by chance";

/// Every case that is left out. One whose images turn out to be the same fails the run, so that this list never grows
/// old.
pub const LEFT: &[Left] = &[
    left("cache/second-build", BY_CHANCE),
    left("cache/not-used", BY_CHANCE),
    left("cache/changed-file", BY_CHANCE),
    left(
        "copy/link-out-of-the-context",
        "a link of the context leads to a folder that only its column has",
    ),
    left(
        "secrets/nowhere-in-the-engine",
        "a step writes the name of its column, by which the search knows its file",
    ),
];

const fn left(case: &'static str, reason: &'static str) -> Left {
    Left { case, reason }
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
