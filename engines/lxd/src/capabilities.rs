//! What this engine offers. Pure.

use boxwright_core::{Capabilities, Capability, Feature, Support};
use boxwright_portable::support;

/// Why no command runs in an image.
pub(crate) const NO_RUN: &str = "no worker runs in instances yet";
pub(crate) const NO_RUN_REMEDY: &str = "export the image with `boxwright build --output`, or use `--engine docker` or `--engine podman`";

/// Answers for every capability.
pub(crate) fn of() -> Capabilities {
    Capabilities::probe(|capability| match support::capability(capability, &support::NO_RUN) {
        Some(Support::Native) => Support::Emulated { how: "the portable builder" },
        Some(other) => other,
        None if capability == Capability::Run => {
            Support::Unsupported { reason: NO_RUN, remedy: NO_RUN_REMEDY }
        }
        None => Support::Emulated { how: "Boxwright's own store" },
    })
}

/// Answers whether the portable builder has `feature`.
pub(crate) fn native(feature: Feature) -> Support {
    support::feature(feature, &support::NO_RUN)
}
