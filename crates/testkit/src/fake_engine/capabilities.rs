//! What the fake engine says of itself.

use boxwright_core::{Capabilities, Capability, Feature, Support};

use super::defect::Defect;

const REMEDY: &str = "use a real engine";

pub(super) fn of(defects: &[Defect]) -> Capabilities {
    Capabilities::probe(|capability| match capability {
        _ if defects.contains(&Defect::Boasts) => Support::Native,
        Capability::Build
        | Capability::BuildRun
        | Capability::BuildForPlatform
        | Capability::BuildSecrets
        | Capability::BuildExtraHosts
        | Capability::BuildNetwork
        | Capability::Inspect
        | Capability::List
        | Capability::Tag
        | Capability::Remove
        | Capability::Export
        | Capability::Import
        | Capability::Run => Support::Native,
        Capability::Push | Capability::Pull => {
            Support::Emulated { how: "this project's own registry client" }
        }
        Capability::BuildFromTar => refuse("the fake engine reads folders only"),
        Capability::BuildFromAddress => refuse("the fake engine fetches nothing"),
        Capability::BuildContexts => refuse("the fake engine knows one context only"),
        Capability::BuildFormat => refuse("the fake engine has one format only"),
        Capability::BuildForPlatforms => refuse("the fake engine keeps no indexes"),
        Capability::BuildReproducible => refuse("the fake engine looks at the clock"),
        Capability::BuildSsh => refuse("nothing in the fake engine could use an ssh agent"),
        Capability::BuildCacheFrom => refuse("the fake engine knows its own cache only"),
        Capability::BuildInstanceImage => Support::NO_INSTANCES,
        Capability::BuildCaBundle => refuse("the fake engine trusts nobody"),
        Capability::BuildShmSize => refuse("the fake engine has no /dev/shm"),
    })
}

pub(super) fn native(feature: Feature, defects: &[Defect]) -> Support {
    match feature {
        Feature::Heredoc if defects.contains(&Defect::Understates) => {
            refuse("the fake engine was told to say so")
        }
        Feature::MultiStage
        | Feature::Heredoc
        | Feature::CopyChmod
        | Feature::CopyLink
        | Feature::MountBind
        | Feature::MountBindRelative
        | Feature::MountCache
        | Feature::MountTmpfs
        | Feature::MountSecret
        | Feature::FromPlatform
        | Feature::RunNetwork
        | Feature::Shell
        | Feature::Healthcheck
        | Feature::OnBuild => Support::Native,
        Feature::CopyParents
        | Feature::CopyExclude
        | Feature::AddUrl
        | Feature::AddChecksum
        | Feature::AddGit
        | Feature::AddUnpack
        | Feature::MountSecretEnv
        | Feature::MountSsh
        | Feature::RunWithoutCommand
        | Feature::RunSecurity
        | Feature::ExpansionPatterns
        | Feature::HealthcheckStartInterval
        | Feature::ForeignFrontend => refuse("the fake engine's builder is a small one"),
    }
}

fn refuse(reason: &'static str) -> Support {
    Support::Unsupported { reason, remedy: REMEDY }
}
