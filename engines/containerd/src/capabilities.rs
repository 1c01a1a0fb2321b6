//! What containerd offers. Pure.

use boxwright_core::{Capabilities, Capability, Feature, Support};
use boxwright_portable::support;

const PORTABLE: Support = Support::Emulated { how: "the portable builder" };

const DIRECT: Support =
    Support::Emulated { how: "between the registry and containerd's content store directly" };

const ARCHIVE: Support = Support::Emulated {
    how: "the archive is written and read here, from and to containerd's content store",
};

const WORKER: Support =
    Support::Emulated { how: "the portable builder's worker, as a task of containerd" };

/// Answers for every capability. No version of containerd differs in what is used of it.
pub(crate) fn of_containerd() -> Capabilities {
    Capabilities::probe(|capability| match support::capability(capability, &WORKER) {
        Some(_) if capability == Capability::BuildForPlatforms => Support::Unsupported {
            reason: "an index of several images is not published in containerd",
            remedy: "build with `--engine embedded`",
        },
        Some(Support::Native) => PORTABLE,
        Some(other) => other,
        None => own(capability),
    })
}

fn own(capability: Capability) -> Support {
    match capability {
        Capability::Push | Capability::Pull => DIRECT,
        Capability::Export | Capability::Import => ARCHIVE,
        Capability::BuildInstanceImage => Support::NO_INSTANCES,
        _ => Support::Native,
    }
}

/// Answers whether a feature of Dockerfiles is there. containerd has no builder of its own.
pub(crate) fn native(feature: Feature) -> Support {
    match support::feature(feature, &WORKER) {
        Support::Native => PORTABLE,
        other => other,
    }
}
