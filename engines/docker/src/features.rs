//! Which features of Dockerfiles a daemon's own builders have. Pure.
//!
//! The daemon reports its version alone, so this is a table. What 20.10 and 26.1 have was tried on 20.10.24 with
//! each builder and on 26.1.5 with BuildKit; the versions are those of the daemon whose built-in frontend first had the feature.

use boxwright_core::{Feature, Support};

use crate::config::Builder;
use crate::server::{ApiVersion, Server};

/// Docker 20.10, with a Dockerfile frontend of about 1.2.
const D20: ApiVersion = (1, 41);
/// Docker 23.0: BuildKit 0.10, frontend 1.4.
const D23: ApiVersion = (1, 42);
/// Docker 25.0: BuildKit 0.12, frontend 1.6.
const D25: ApiVersion = (1, 44);
/// Docker 26.0: BuildKit 0.13, frontend 1.7.
const D26: ApiVersion = (1, 45);
/// Docker 28.0: BuildKit 0.20, frontend 1.14.
const D28: ApiVersion = (1, 48);
/// Docker 28.3: BuildKit 0.23, frontend 1.17.
const D28_3: ApiVersion = (1, 51);
/// Docker 29.0: frontend 1.20.
const D29: ApiVersion = (1, 52);

const NEWER: &str = "use a newer Docker";
const BUILDKIT: &str = "build with `--builder buildkit`";

/// Returns whether `server` has `feature` when it builds by `builder`.
pub(crate) fn native(server: &Server, builder: Builder, feature: Feature) -> Support {
    match builder {
        Builder::BuildKit => buildkit(server.api, feature),
        Builder::Classic => classic(server.api, feature),
    }
}

fn buildkit(api: ApiVersion, feature: Feature) -> Support {
    let since = |first: ApiVersion| {
        if api >= first {
            return Support::Native;
        }
        Support::Unsupported {
            reason: "the frontend that is built into this version of the daemon does not know it",
            remedy: NEWER,
        }
    };
    match feature {
        Feature::MultiStage
        | Feature::AddUrl
        | Feature::FromPlatform
        | Feature::Shell
        | Feature::Healthcheck
        | Feature::OnBuild => Support::Native,
        Feature::CopyChmod
        | Feature::MountBind
        | Feature::MountBindRelative
        | Feature::MountCache
        | Feature::MountTmpfs
        | Feature::MountSecret
        | Feature::MountSsh
        | Feature::RunWithoutCommand => since(D20),
        Feature::Heredoc | Feature::CopyLink | Feature::RunNetwork => since(D23),
        Feature::AddChecksum | Feature::AddGit | Feature::HealthcheckStartInterval => since(D25),
        Feature::ExpansionPatterns => since(D26),
        Feature::MountSecretEnv => since(D28),
        Feature::AddUnpack => since(D28_3),
        Feature::CopyExclude | Feature::CopyParents => since(D29),
        Feature::RunSecurity => Support::Unsupported {
            reason: "the daemon grants no step rights of its own",
            remedy: "leave `--security` out",
        },
        Feature::ForeignFrontend => Support::Unsupported {
            reason: "frontends are not fetched",
            remedy: "take the `# syntax=` line out",
        },
    }
}

fn classic(api: ApiVersion, feature: Feature) -> Support {
    match feature {
        Feature::MultiStage
        | Feature::AddUrl
        | Feature::Shell
        | Feature::Healthcheck
        | Feature::OnBuild => Support::Native,
        Feature::HealthcheckStartInterval if api >= D25 => Support::Native,
        Feature::HealthcheckStartInterval => Support::Unsupported {
            reason: "this version of the daemon does not know it",
            remedy: NEWER,
        },
        Feature::ForeignFrontend => Support::Unsupported {
            reason: "the classic builder knows no frontends",
            remedy: "take the `# syntax=` line out",
        },
        Feature::Heredoc
        | Feature::CopyChmod
        | Feature::CopyLink
        | Feature::CopyParents
        | Feature::CopyExclude
        | Feature::AddChecksum
        | Feature::AddGit
        | Feature::AddUnpack
        | Feature::MountBind
        | Feature::MountBindRelative
        | Feature::MountCache
        | Feature::MountTmpfs
        | Feature::MountSecret
        | Feature::MountSecretEnv
        | Feature::MountSsh
        | Feature::RunWithoutCommand
        | Feature::RunNetwork
        | Feature::RunSecurity
        | Feature::ExpansionPatterns
        | Feature::FromPlatform => Support::Unsupported {
            reason: "the classic builder does not know it",
            remedy: BUILDKIT,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tests::recorded;

    /// What Docker 20.10.24 really built, feature by feature, with each builder.
    #[test]
    fn docker_20_10_has_what_was_tried_on_it() {
        let server = recorded("20.10", None);
        let buildkit_alone = [
            Feature::CopyChmod,
            Feature::MountBind,
            Feature::MountBindRelative,
            Feature::MountCache,
            Feature::MountTmpfs,
            Feature::MountSecret,
            Feature::MountSsh,
            Feature::RunWithoutCommand,
            Feature::FromPlatform,
        ];
        let both = [
            Feature::MultiStage,
            Feature::AddUrl,
            Feature::Shell,
            Feature::Healthcheck,
            Feature::OnBuild,
        ];
        for &feature in Feature::ALL {
            let by_buildkit = both.contains(&feature) || buildkit_alone.contains(&feature);
            let has = |builder| native(&server, builder, feature).is_available();
            assert_eq!(has(Builder::BuildKit), by_buildkit, "{feature}");
            assert_eq!(has(Builder::Classic), both.contains(&feature), "{feature}");
        }
    }

    /// What Docker 26.1.5 really built with BuildKit; what 20.10 has it has too.
    #[test]
    fn docker_26_1_lacks_what_was_tried_on_it_in_vain() {
        let server = recorded("26.1", Some("2"));
        let lacking = [
            Feature::CopyParents,
            Feature::CopyExclude,
            Feature::AddUnpack,
            Feature::MountSecretEnv,
            Feature::RunSecurity,
            Feature::ForeignFrontend,
        ];
        for &feature in Feature::ALL {
            let has = native(&server, Builder::BuildKit, feature).is_available();
            assert_eq!(has, !lacking.contains(&feature), "{feature}");
        }
        assert!(!native(&server, Builder::Classic, Feature::Heredoc).is_available());
    }
}
