//! What this engine offers. Pure.

use boxwright_core::{Capabilities, Capability, Feature, Support};
use boxwright_portable::support;

/// The answer about whatever needs a process.
const RUN: Support =
    Support::Emulated { how: "in an unprivileged instance, by the portable builder" };

/// The answer about images that instances are launched from.
const PUBLISH: Support =
    Support::Emulated { how: "an image of LXD's own kind, with Boxwright's program as its init" };

/// Answers for every capability.
pub(crate) fn of() -> Capabilities {
    Capabilities::probe(|capability| match support::capability(capability, &RUN) {
        Some(Support::Native) => Support::Emulated { how: "the portable builder" },
        Some(other) => other,
        None if capability == Capability::Run => RUN,
        None if capability == Capability::BuildInstanceImage => PUBLISH,
        None => Support::Emulated { how: "Boxwright's own store" },
    })
}

/// Answers whether the portable builder has `feature`.
pub(crate) fn native(feature: Feature) -> Support {
    support::feature(feature, &RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_run_in_an_instance() {
        for capability in [
            Capability::BuildRun,
            Capability::Run,
            Capability::Push,
            Capability::BuildInstanceImage,
        ] {
            assert!(of().require(capability).is_ok(), "{capability}");
        }
        assert!(native(Feature::MountCache).is_available());
    }
}
