//! Cases of the corpora that come out otherwise, each with its reason.

use crate::divergence::Divergence;

/// Every known difference.
pub const DIVERGENCES: &[Divergence] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_divergence_names_a_case_of_a_corpus_a_reason_and_a_link() {
        for known in DIVERGENCES {
            let corpus = known.case.split('/').next().unwrap();
            assert!(
                super::super::READERS.iter().any(|(name, _)| *name == corpus),
                "{}",
                known.case
            );
            assert!(known.link.starts_with("https://"), "{}", known.case);
            assert!(!known.reason.ends_with('.') && !known.reason.is_empty(), "{}", known.case);
        }
    }
}
