//! Cases of the corpora that come out otherwise, each with its reason.

use crate::divergence::{Divergence, Versions};

/// Every known difference. An engine that is no part of `cargo xtask test` has only those that were looked into.
pub const DIVERGENCES: &[Divergence] = &[
    pattern_without_match("docker", Some("buildkit")),
    pattern_without_match("docker", Some("portable")),
    pattern_without_match("podman", Some("portable")),
    pattern_without_match("containerd", None),
    pattern_without_match("lxd", None),
    pattern_without_match("embedded", None),
    socket("docker", Some("portable")),
    socket("podman", Some("portable")),
    socket("containerd", None),
    socket("lxd", None),
    socket("embedded", None),
    Divergence {
        case: "kaniko/dockerfiles__Dockerfile_test_volume_2",
        engine: "embedded",
        builder: None,
        versions: Versions::All,
        reason: "VOLUME makes no folder, as in BuildKit; the case writes into one that the classic builder makes",
        link: "https://github.com/moby/buildkit/blob/v0.12.0/frontend/dockerfile/dockerfile2llb/convert.go",
    },
];

const fn pattern_without_match(engine: &'static str, builder: Option<&'static str>) -> Divergence {
    Divergence {
        case: "buildah-conformance/052-copy-multiple-missing-file-with-nomatch-on-glob",
        engine,
        builder,
        versions: Versions::All,
        reason: "a pattern that matches nothing is no error beside a source that is there, as in BuildKit; the case expects the classic builder's answer",
        link: "https://github.com/moby/buildkit/blob/v0.12.0/frontend/dockerfile/dockerfile2llb/convert.go",
    }
}

const fn socket(engine: &'static str, builder: Option<&'static str>) -> Divergence {
    Divergence {
        case: "buildkit-dockerfile/CopySocket",
        engine,
        builder,
        versions: Versions::All,
        reason: "a socket of the context is left out with a warning; BuildKit makes an empty file of it that nobody can use",
        link: "https://github.com/moby/buildkit/blob/master/frontend/dockerfile/dockerfile_test.go",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_divergence_names_a_case_of_a_corpus_a_reason_and_a_link() {
        for known in DIVERGENCES {
            let corpus = known.case.split('/').next().unwrap();
            assert!(
                super::super::READERS.iter().any(|(name, _)| *name == corpus),
                "{}",
                known.case
            );
            assert!(known.link.starts_with("https://"), "{}", known.case);
            assert!(!known.reason.ends_with('.') && !known.reason.is_empty(), "{}", known.case);
        }
    }
}
