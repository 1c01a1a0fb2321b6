//! What the portable builder can do. Pure.

use boxwright_core::{Capability, Feature, Support};

/// The answer about [`Capability::BuildRun`] where nothing runs steps.
pub const NO_RUN: Support = Support::Unsupported { reason: NO_RUN_REASON, remedy: NO_RUN_REMEDY };

pub(crate) const NO_RUN_REASON: &str =
    "this engine has nothing that runs the commands of a portable build";
pub(crate) const NO_RUN_REMEDY: &str = OTHER_BUILDER;

/// The answer about [`Feature::ForeignFrontend`].
pub(crate) const FRONTEND: Support = Support::Unsupported {
    reason: "the portable builder reads Dockerfiles itself, and runs no frontend",
    remedy: "leave the `# syntax=` line out if the file is a plain Dockerfile",
};

const OTHER_BUILDER: &str = "build with `--engine docker` or `--engine podman`";

/// Returns whether the portable builder offers `capability`, or `None` for what is no matter of building. `run` is
/// the answer about [`Capability::BuildRun`].
#[must_use]
pub fn capability(capability: Capability, run: &Support) -> Option<Support> {
    Some(match capability {
        Capability::Build
        | Capability::BuildForPlatform
        | Capability::BuildForPlatforms
        | Capability::BuildFromTar
        | Capability::BuildFromAddress
        | Capability::BuildContexts
        | Capability::BuildFormat
        | Capability::BuildReproducible => Support::Native,
        // All of them concern processes alone.
        Capability::BuildRun
        | Capability::BuildSecrets
        | Capability::BuildSsh
        | Capability::BuildExtraHosts
        | Capability::BuildShmSize
        | Capability::BuildNetwork
        | Capability::BuildCaBundle => run.clone(),
        Capability::BuildCacheFrom => Support::Unsupported {
            reason: "the portable builder takes steps from its own cache alone",
            remedy: "leave `--cache-from` out",
        },
        // Only an engine itself knows what its instances are launched from.
        Capability::BuildInstanceImage
        | Capability::Push
        | Capability::Pull
        | Capability::Inspect
        | Capability::List
        | Capability::Tag
        | Capability::Remove
        | Capability::Export
        | Capability::Import
        | Capability::Run => return None,
    })
}

/// Returns whether the portable builder has `feature`. `run` is the answer about [`Capability::BuildRun`].
#[must_use]
pub fn feature(feature: Feature, run: &Support) -> Support {
    match feature {
        Feature::MultiStage
        | Feature::Heredoc
        | Feature::CopyChmod
        | Feature::CopyLink
        | Feature::CopyParents
        | Feature::CopyExclude
        | Feature::AddUnpack
        | Feature::AddUrl
        | Feature::AddChecksum
        | Feature::AddGit
        | Feature::ExpansionPatterns
        | Feature::FromPlatform
        | Feature::Shell
        | Feature::Healthcheck
        | Feature::HealthcheckStartInterval
        | Feature::OnBuild => Support::Native,
        Feature::MountBind
        | Feature::MountBindRelative
        | Feature::MountCache
        | Feature::MountTmpfs
        | Feature::MountSecret
        | Feature::MountSecretEnv
        | Feature::MountSsh
        | Feature::RunWithoutCommand
        | Feature::RunNetwork => run.clone(),
        Feature::RunSecurity => Support::Unsupported {
            reason: "the portable builder runs no step with more rights",
            remedy: "leave `--security` out",
        },
        Feature::ForeignFrontend => FRONTEND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_processes_is_as_running_them() {
        for (run, expected) in [(NO_RUN, false), (Support::Native, true)] {
            let secrets = capability(Capability::BuildSecrets, &run);
            assert_eq!(secrets.is_some_and(|it| it.is_available()), expected);
            assert_eq!(feature(Feature::MountCache, &run).is_available(), expected);
            assert_eq!(capability(Capability::Build, &run), Some(Support::Native));
            assert_eq!(capability(Capability::Push, &run), None);
        }
    }
}
