//! What a daemon offers, by the way it builds. Pure.

use boxwright_core::{Capabilities, Capability, Support};

use crate::config::Builder;

/// Returns what a daemon offers when it builds by `builder`.
pub(crate) fn of(builder: Builder) -> Capabilities {
    Capabilities::probe(|capability| match capability {
        Capability::BuildSecrets => buildkit_alone(builder, "the classic builder has no secrets"),
        Capability::BuildSsh => {
            buildkit_alone(builder, "the classic builder forwards no ssh agents")
        }
        // The classic builder refuses, when it is asked, to build for another platform than its own.
        Capability::BuildForPlatform
        | Capability::Build
        | Capability::BuildRun
        | Capability::BuildFromTar
        | Capability::BuildFromAddress
        | Capability::BuildCacheFrom
        | Capability::BuildExtraHosts
        | Capability::BuildNetwork
        | Capability::Push
        | Capability::Pull
        | Capability::Inspect
        | Capability::List
        | Capability::Tag
        | Capability::Remove
        | Capability::Export
        | Capability::Import
        | Capability::Run => Support::Native,
        Capability::BuildShmSize => Support::Native,
        Capability::BuildFormat => Support::Unsupported {
            reason: "the daemon chooses the format of its images itself",
            remedy: "leave `--format` out",
        },
        Capability::BuildForPlatforms => Support::Unsupported {
            reason: "the daemon's own builder makes one image, and no index of several",
            remedy: "build with `--builder portable`",
        },
        Capability::BuildReproducible => Support::Unsupported {
            reason: "the daemon's own builder writes the time of the build into layers and config",
            remedy: "build with `--builder portable`",
        },
        Capability::BuildInstanceImage => Support::NO_INSTANCES,
        Capability::BuildCaBundle => Support::Unsupported {
            reason: "the daemon's own builder cannot be told whom steps trust",
            remedy: "build with `--builder portable`",
        },
        Capability::BuildContexts => Support::Unsupported {
            reason: "further contexts are not handed to the daemon's own builder",
            remedy: "put the files into the build context, or name the image in the Dockerfile",
        },
    })
}

fn buildkit_alone(builder: Builder, reason: &'static str) -> Support {
    match builder {
        Builder::BuildKit => Support::Native,
        Builder::Classic => {
            Support::Unsupported { reason, remedy: "build with `--builder buildkit`" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_buildkit_has_secrets_and_agents() {
        for capability in [Capability::BuildSecrets, Capability::BuildSsh] {
            assert!(of(Builder::BuildKit).require(capability).is_ok());
            let error = of(Builder::Classic).require(capability).unwrap_err();
            assert_eq!(error.remedy(), Some("build with `--builder buildkit`"));
        }
    }
}
