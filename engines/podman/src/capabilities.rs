//! What the service offers, and what Buildah makes of a Dockerfile. Pure.

use boxwright_core::{Capabilities, Capability, Feature, Support};

use crate::api::{Release, Server};

/// Answers for every capability, by what the service reported.
pub(crate) fn of(_server: &Server) -> Capabilities {
    Capabilities::probe(|capability| match capability {
        Capability::Build
        | Capability::BuildRun
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
        Capability::BuildFormat => Support::Unsupported {
            reason: "the service builds in Docker's format, which loses no instruction",
            remedy: "leave `--format` out",
        },
        Capability::BuildForPlatforms => Support::Unsupported {
            reason: "the service's own builder makes one image, and no index of several",
            remedy: "build with `--builder portable`",
        },
        Capability::BuildReproducible => Support::Unsupported {
            reason: "the service's own builder writes the time of the build into layers and config",
            remedy: "build with `--builder portable`",
        },
        Capability::BuildInstanceImage => Support::NO_INSTANCES,
        Capability::BuildCaBundle => Support::Unsupported {
            reason: "the service's own builder cannot be told whom steps trust",
            remedy: "build with `--builder portable`",
        },
        Capability::BuildContexts => Support::Unsupported {
            reason: "further contexts are not handed to the service's own builder",
            remedy: "put the files into the build context, or name the image in the Dockerfile",
        },
        Capability::BuildSsh => Support::Unsupported {
            reason: "the API of Podman's service cannot forward an ssh agent",
            remedy: "hand a deploy key over as a secret, or build with an engine that has BuildKit",
        },
    })
}

const NEWER: &str = "use a newer Podman, or another builder";

/// Answers whether Buildah of this version has `feature`. It reports none of it, so this is a table. Proof for 1.28.2 is
/// `tests/recorded/features-1.28.2.txt`; what came later is from Buildah's `CHANGELOG.md`.
pub(crate) fn native(feature: Feature, buildah: Release) -> Support {
    let since = |release: Release, reason: &'static str, remedy: &'static str| {
        if buildah >= release { Support::Native } else { Support::Unsupported { reason, remedy } }
    };
    match feature {
        Feature::MultiStage
        | Feature::CopyChmod
        | Feature::AddUrl
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
            Release(1, 36, 0),
            "Buildah before 1.33 takes no here-documents, and before 1.36 expands them itself",
            "write the commands in one `RUN` with `&&`, or use a newer Podman",
        ),
        Feature::CopyLink => since(
            Release(1, 41, 0),
            "Buildah before 1.41 does not know `--link`",
            "leave `--link` out, or use a newer Podman",
        ),
        Feature::CopyParents => {
            since(Release(1, 40, 0), "Buildah before 1.40 does not know `--parents`", NEWER)
        }
        Feature::CopyExclude => {
            since(Release(1, 44, 0), "Buildah before 1.44 does not know `--exclude`, or takes its patterns otherwise", NEWER)
        }
        Feature::AddChecksum => {
            since(Release(1, 33, 0), "Buildah before 1.33 does not know `--checksum`", NEWER)
        }
        Feature::AddGit => since(
            Release(1, 38, 0),
            "Buildah before 1.38 takes a git address for a file to download",
            "clone the repository in a `RUN`, or before the build",
        ),
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
        Feature::RunNetwork => {
            since(Release(1, 30, 0), "Buildah before 1.30 does not know `RUN --network`", NEWER)
        }
        Feature::RunSecurity => Support::Unsupported {
            reason: "Buildah does not know `RUN --security`",
            remedy: "leave it out; no step here is privileged",
        },
        Feature::ExpansionPatterns => Support::Unsupported {
            reason: "Buildah knows of the expansions only `${x:-y}`, `${x:+y}` and their like",
            remedy: "work the value out in a `RUN`, or pass it as a build argument",
        },
        Feature::HealthcheckStartInterval => {
            since(Release(1, 37, 0), "Buildah before 1.37 does not know `--start-interval`", NEWER)
        }
        Feature::ForeignFrontend => Support::Unsupported {
            reason: "Buildah reads Dockerfiles itself, and runs no frontend",
            remedy: "leave the `# syntax=` line out if the file is a plain Dockerfile",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was tried, by the name of the feature.
    const TRIED: &str = include_str!("../tests/recorded/features-1.28.2.txt");

    #[test]
    fn the_table_says_of_1_28_2_what_was_tried() {
        let lines = TRIED.lines().filter(|line| !line.starts_with('#'));
        let mut checked = 0;
        for (name, result) in lines.filter_map(|line| line.split_once(' ')) {
            let Some(feature) = Feature::ALL.iter().find(|feature| feature.as_str() == name) else {
                continue;
            };
            // Without an agent the mount is left out; what is missing is a way to hand one over.
            let expected = *feature != Feature::MountSsh && result.trim() == "done";
            assert_eq!(native(*feature, Release(1, 28, 2)).is_available(), expected, "{name}");
            checked += 1;
        }
        assert!(checked > 20, "{checked}");
    }

    #[test]
    fn a_newer_buildah_has_what_an_older_one_has() {
        for feature in Feature::ALL {
            let old = native(*feature, Release(1, 28, 2)).is_available();
            let new = native(*feature, Release(1, 44, 0)).is_available();
            assert!(new || !old, "{feature}");
        }
        assert_eq!(native(Feature::CopyParents, Release(1, 40, 0)), Support::Native);
        assert!(!native(Feature::RunWithoutCommand, Release(9, 0, 0)).is_available());
    }
}
