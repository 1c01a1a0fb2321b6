//! What this engine offers. Pure.

use boxwright_core::{Capabilities, Capability, Feature, Support};
use boxwright_portable::support;

/// The answer about running commands in images.
pub(crate) const RUN: Support = Support::Unsupported { reason: NO_RUN, remedy: NO_RUN_REMEDY };

pub(crate) const NO_RUN: &str = "the embedded engine starts no process yet";
pub(crate) const NO_RUN_REMEDY: &str = "export the image with `boxwright build --output`, or use `--engine docker` or `--engine podman`";

/// Answers for every capability.
pub(crate) fn of() -> Capabilities {
    Capabilities::probe(|capability| match support::capability(capability, &support::NO_RUN) {
        Some(support) => support,
        None if capability == Capability::Run => RUN,
        None => Support::Native,
    })
}

/// Answers whether the portable builder has `feature`.
pub(crate) fn native(feature: Feature) -> Support {
    support::feature(feature, &support::NO_RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_are_missing_from_what_an_engine_needs() {
        let all = of();
        for capability in [Capability::Build, Capability::Push, Capability::Import] {
            assert!(all.require(capability).is_ok(), "{capability}");
        }
        for capability in [Capability::Run, Capability::BuildRun] {
            let error = all.require(capability).unwrap_err();
            assert!(error.remedy().is_some(), "{capability}");
        }
        assert!(native(Feature::CopyParents).is_available());
        assert!(!native(Feature::MountCache).is_available());
    }
}
