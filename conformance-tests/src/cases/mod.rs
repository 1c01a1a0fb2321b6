//! Every case, one file for each subject.

use boxwright_core::{Capability, Error};

use crate::case::{Case, CaseResult};

mod add;
mod archive;
mod args;
mod auto;
mod cache;
mod cancel;
mod config;
mod container;
mod copy;
mod copy_meaning;
mod env;
mod failures;
mod faults;
mod ignore;
mod input;
mod mounts;
mod multistage;
mod naming;
mod one_digest;
mod platforms;
mod pull;
mod push;
mod run;
mod secrets;
mod store;
mod syntax;

/// Returns every case, by subject.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        copy::CASES,
        copy_meaning::CASES,
        add::CASES,
        ignore::CASES,
        run::CASES,
        mounts::CASES,
        args::CASES,
        env::CASES,
        config::CASES,
        multistage::CASES,
        cache::CASES,
        naming::CASES,
        secrets::CASES,
        syntax::CASES,
        input::CASES,
        failures::CASES,
        cancel::CASES,
        store::CASES,
        archive::CASES,
        container::CASES,
        push::CASES,
        faults::CASES,
        pull::CASES,
        auto::CASES,
        one_digest::CASES,
        platforms::CASES,
    ]
    .into_iter()
    .flatten()
}

/// What a case needs that builds an image and looks at it.
const BUILD: &[Capability] = &[Capability::Build, Capability::Export];

/// What a case needs that builds an image with steps and looks at it.
const RUN: &[Capability] = &[Capability::Build, Capability::BuildRun, Capability::Export];

/// What a case needs that only sees whether a build with steps fails, and that nothing was named.
const RUN_ONLY: &[Capability] = &[Capability::Build, Capability::BuildRun, Capability::List];

/// What a case needs that only sees whether a build fails, and that nothing was named.
const BUILD_ONLY: &[Capability] = &[Capability::Build, Capability::List];

/// What a case needs that pushes an image it built.
const PUSH: &[Capability] = &[Capability::Build, Capability::Push];

/// Fails unless an error says why it happened, or what to do.
#[track_caller]
fn expect_explained(error: &Error) -> CaseResult {
    let is_explained = !error.causes().is_empty() || error.remedy().is_some();
    crate::expect!(is_explained, "`{error}` has neither a cause nor a remedy");
    Ok(())
}

/// Fails unless an error, its causes and its facts mention `words`.
#[track_caller]
fn expect_mentions(error: &Error, words: &str) -> CaseResult {
    let facts = error.context().iter().map(|(_, value)| value.clone());
    let said: Vec<String> =
        std::iter::once(error.to_string()).chain(error.causes()).chain(facts).collect();
    let is_said = said.iter().any(|text| text.contains(words));
    crate::expect!(is_said, "`{words}` is not in {said:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_and_can_be_parts_of_names() {
        let mut seen = BTreeSet::new();
        for case in all() {
            let is_word = |word: &str| {
                word.split('-').all(|part| {
                    !part.is_empty()
                        && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                })
            };
            assert!(
                case.id.split('/').count() == 2 && case.id.split('/').all(is_word),
                "{}",
                case.id
            );
            assert!(seen.insert(case.id), "{} is there twice", case.id);
            assert!(!case.promise.ends_with('.'), "{}", case.id);
        }
        assert!(seen.len() >= 60, "{} cases", seen.len());
    }
}
