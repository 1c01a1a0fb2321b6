//! What the service offers, and what Buildah makes of a Dockerfile. Pure.

use boxwright_core::{Capabilities, Capability, Feature, Support};

use crate::api::{Release, Server};

/// Answers for every capability, by what the service reported.
pub(crate) fn of(_server: &Server) -> Capabilities {
    Capabilities::probe(|capability| match capability {
        Capability::Build
        | Capability::BuildFromTar
        | Capability::BuildFromAddress
        | Capability::BuildForPlatform
        | Capability::BuildSecrets
        | Capability::BuildCacheFrom
        | Capability::BuildExtraHosts
        | Capability::BuildShmSize
        | Capability::BuildNetwork
        | Capability::Push
        | Capability::Pull
        | Capability::Inspect
        | Capability::List
        | Capability::Tag
        | Capability::Remove
        | Capability::Export
        | Capability::Run => Support::Native,
        Capability::Import => Support::Emulated {
            how: "the archive is verified here, and loaded without its own names",
        },
        Capability::BuildSsh => Support::Unsupported {
            reason: "the API of Podman's service cannot forward an ssh agent",
            remedy: "hand a deploy key over as a secret, or build with an engine that has BuildKit",
        },
    })
}

const NEWER: &str = "use a newer Podman, or another builder";

/// Answers whether Buildah of this version has `feature`. It reports none of it, so this is a table, whose proofs
/// are in `tests/recorded/features.txt` for 1.28.2, and in Buildah's release notes for what was mended later.
pub(crate) fn native(feature: Feature, buildah: Release) -> Support {
    let since = |release: Release, reason: &'static str, remedy: &'static str| {
        if buildah >= release { Support::Native } else { Support::Unsupported { reason, remedy } }
    };
    match feature {
        Feature::MultiStage
        | Feature::CopyChmod
        | Feature::AddUrl
        | Feature::AddGit
        | Feature::MountBind
        | Feature::MountCache
        | Feature::MountTmpfs
        | Feature::MountSecret
        | Feature::FromPlatform
        // Images are made in Docker's format, since in OCI's these three are dropped.
        | Feature::Shell
        | Feature::Healthcheck
        | Feature::OnBuild => Support::Native,
        Feature::Heredoc => since(
            Release(1, 33, 0),
            "Buildah before 1.33 takes no here-documents",
            "write the commands in one `RUN` with `&&`, or use a newer Podman",
        ),
        Feature::CopyLink => since(
            Release(1, 41, 0),
            "Buildah before 1.41 does not know `--link`",
            "leave `--link` out, or use a newer Podman",
        ),
        Feature::CopyParents => {
            since(Release(1, 38, 0), "Buildah before 1.38 does not know `--parents`", NEWER)
        }
        Feature::CopyExclude => {
            since(Release(1, 38, 0), "Buildah before 1.38 does not know `--exclude`", NEWER)
        }
        Feature::AddChecksum => {
            since(Release(1, 33, 0), "Buildah before 1.33 does not know `--checksum`", NEWER)
        }
        Feature::AddUnpack => Support::Unsupported {
            reason: "Buildah does not know `ADD --unpack`",
            remedy: "unpack in a `RUN` of its own",
        },
        Feature::MountBindRelative => since(
            Release(1, 38, 0),
            "Buildah before 1.38 refuses a bind mount whose target is relative",
            "write the target as an absolute path",
        ),
        Feature::MountSecretEnv => since(
            Release(1, 44, 0),
            "Buildah before 1.44 hands no secret over as a variable",
            "mount the secret as a file, and read it in the command",
        ),
        Feature::MountSsh => Support::Unsupported {
            reason: "the API of Podman's service cannot forward an ssh agent",
            remedy: "hand a deploy key over as a secret",
        },
        Feature::RunWithoutCommand => Support::Unsupported {
            reason: "Buildah refuses a `RUN` that has mounts and no command",
            remedy: "add a command that does nothing: `RUN --mount=… true`",
        },
        Feature::RunNetwork => Support::Native,
        Feature::RunSecurity => Support::Unsupported {
            reason: "Buildah does not know `RUN --security`",
            remedy: "leave it out; no step here is privileged",
        },
        Feature::ExpansionPatterns => Support::Unsupported {
            reason: "Buildah knows of the expansions only `${x:-y}`, `${x:+y}` and their like",
            remedy: "work the value out in a `RUN`, or pass it as a build argument",
        },
        Feature::HealthcheckStartInterval => {
            since(Release(1, 34, 0), "Buildah before 1.34 does not know `--start-interval`", NEWER)
        }
        Feature::ForeignFrontend => Support::Unsupported {
            reason: "Buildah reads Dockerfiles itself, and runs no frontend",
            remedy: "leave the `# syntax=` line out if the file is a plain Dockerfile",
        },
    }
}
