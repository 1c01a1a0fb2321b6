//! What this engine offers. Pure.

use boxwright_core::{Capabilities, Capability, Feature, Support};
use boxwright_portable::support;

/// Answers for every capability. `run` is the answer about running commands here.
pub(crate) fn of(run: &Support) -> Capabilities {
    Capabilities::probe(|capability| match support::capability(capability, run) {
        Some(support) => support,
        None if capability == Capability::Run => run.clone(),
        None if capability == Capability::BuildInstanceImage => Support::NO_INSTANCES,
        None => Support::Native,
    })
}

/// Answers whether the portable builder has `feature`. `run` is the answer about running commands here.
pub(crate) fn native(feature: Feature, run: &Support) -> Support {
    support::feature(feature, run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_command_can_be_run_only_those_are_missing() {
        let none = Support::Unsupported { reason: "a", remedy: "b" };
        let all = of(&none);
        for capability in [Capability::Build, Capability::Push, Capability::Import] {
            assert!(all.require(capability).is_ok(), "{capability}");
        }
        for capability in [Capability::Run, Capability::BuildRun, Capability::BuildSecrets] {
            let error = all.require(capability).unwrap_err();
            assert_eq!(error.remedy(), Some("b"), "{capability}");
            assert!(of(&Support::Native).require(capability).is_ok(), "{capability}");
        }
        assert!(native(Feature::CopyParents, &none).is_available());
        assert!(!native(Feature::MountCache, &none).is_available());
        assert!(native(Feature::MountCache, &Support::Native).is_available());
    }
}
