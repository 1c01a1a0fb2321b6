//! What containerd offers. Pure.

use boxwright_core::{Capabilities, Capability, Feature, Support};

const NO_BUILDER: Support = Support::Unsupported {
    reason: "containerd builds no images itself",
    remedy: "build with another engine, such as `--engine docker`; `boxwright engines` lists them",
};

const DIRECT: Support =
    Support::Emulated { how: "between the registry and containerd's content store directly" };

const ARCHIVE: Support = Support::Emulated {
    how: "the archive is written and read here, from and to containerd's content store",
};

/// Answers for every capability. No version of containerd differs in what is used of it.
pub(crate) fn of_containerd() -> Capabilities {
    Capabilities::probe(|capability| match capability {
        Capability::Build
        | Capability::BuildRun
        | Capability::BuildFromTar
        | Capability::BuildFromAddress
        | Capability::BuildForPlatform
        | Capability::BuildSecrets
        | Capability::BuildSsh
        | Capability::BuildCacheFrom
        | Capability::BuildContexts
        | Capability::BuildFormat
        | Capability::BuildExtraHosts
        | Capability::BuildShmSize
        | Capability::BuildNetwork => NO_BUILDER,
        Capability::Push | Capability::Pull => DIRECT,
        Capability::Export | Capability::Import => ARCHIVE,
        Capability::Inspect
        | Capability::List
        | Capability::Tag
        | Capability::Remove
        | Capability::Run => Support::Native,
    })
}

/// Answers whether containerd's own builder has a feature. It has no builder.
pub(crate) fn native(_feature: Feature) -> Support {
    NO_BUILDER
}
