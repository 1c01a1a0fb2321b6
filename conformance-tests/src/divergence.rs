//! The known differences between engines, as data.

use crate::column::Column;
use crate::corpus;

/// A promise that an engine is known not to keep, and where that is written down.
///
/// One that starts to pass fails the run, so that this list never grows old.
#[derive(Clone, Copy, Debug)]
pub struct Divergence {
    /// The case.
    pub case: &'static str,
    /// The engine's name.
    pub engine: &'static str,
    /// One of the engine's builders, or all of them.
    pub builder: Option<&'static str>,
    /// The versions that differ, by their leading numbers.
    pub versions: Versions,
    /// How it differs, as a sentence.
    pub reason: &'static str,
    /// Where upstream says so.
    pub link: &'static str,
}

/// A range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// All that are known.
    All,
    /// Those before this one.
    Before(&'static [u32]),
    /// This one and those after it.
    Since(&'static [u32]),
}

impl Versions {
    /// Returns whether `version`, as a server words it, is in the range.
    #[must_use]
    pub fn contains(self, version: &str) -> bool {
        let numbers = numbers(version);
        match self {
            Self::All => true,
            Self::Before(limit) => numbers.as_slice() < limit,
            Self::Since(limit) => numbers.as_slice() >= limit,
        }
    }
}

/// Returns the leading numbers of a version: `20.10.24+dfsg1` is 20, 10, 24.
fn numbers(version: &str) -> Vec<u32> {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    version[..end].split('.').map_while(|part| part.parse().ok()).collect()
}

/// Returns what of [`DIVERGENCES`], and of those of the corpora, is known about a case in a column.
#[must_use]
pub fn find(case: &str, column: &Column) -> Option<&'static Divergence> {
    let info = column.engine.info();
    DIVERGENCES.iter().chain(corpus::divergences::DIVERGENCES).find(|known| {
        known.case == case
            && known.engine == info.name.as_str()
            && known.builder.is_none_or(|builder| builder == info.builder)
            && known.versions.contains(&info.version)
    })
}

/// Every known difference.
pub const DIVERGENCES: &[Divergence] = &[
    Divergence {
        case: "copy/keeps-set-user-id",
        engine: "docker",
        builder: Some("classic"),
        versions: Versions::All,
        reason: "the classic builder changes the owner after the mode, which clears set-user-id",
        link: "https://github.com/moby/moby/issues/36239",
    },
    Divergence {
        case: "copy/keeps-set-user-id",
        engine: "podman",
        builder: Some("buildah"),
        versions: Versions::All,
        reason: "Buildah strips set-user-id from what comes from the context, as the classic builder does",
        link: "https://github.com/containers/buildah/issues/574",
    },
    Divergence {
        case: "archive/no-layers",
        engine: "docker",
        builder: Some("buildkit"),
        versions: Versions::Before(&[23]),
        reason: "the daemon saves no image without layers: \"empty export - not implemented\"",
        link: "https://github.com/moby/moby/blob/v20.10.24/image/tarexport/save.go",
    },
    Divergence {
        case: "archive/no-layers",
        engine: "docker",
        builder: Some("classic"),
        versions: Versions::Before(&[23]),
        reason: "the daemon saves no image without layers: \"empty export - not implemented\"",
        link: "https://github.com/moby/moby/blob/v20.10.24/image/tarexport/save.go",
    },
    Divergence {
        case: "config/workdir",
        engine: "podman",
        builder: Some("buildah"),
        versions: Versions::Before(&[5]),
        reason: "Buildah makes the folder of WORKDIR only when a RUN follows",
        link: "https://github.com/containers/buildah/issues/2475",
    },
    Divergence {
        case: "stages/names-in-any-case",
        engine: "podman",
        builder: Some("buildah"),
        versions: Versions::All,
        reason: "Buildah tells upper from lower case in names of stages",
        link: "https://github.com/moby/moby/pull/36960",
    },
    Divergence {
        case: "config/shell",
        engine: "podman",
        builder: Some("buildah"),
        versions: Versions::Before(&[5]),
        reason: "Buildah gives CMD the usual shell, whatever SHELL says",
        link: "https://github.com/containers/buildah/issues/953",
    },
    Divergence {
        case: "mount/from-a-cached-stage",
        engine: "podman",
        builder: Some("buildah"),
        versions: Versions::Before(&[4, 4]),
        reason: "Buildah before 1.29 mounts an empty folder when the stage comes from the cache",
        link: "https://github.com/containers/buildah/issues/4375",
    },
    Divergence {
        case: "failures/instruction-before-from",
        engine: "podman",
        builder: Some("buildah"),
        versions: Versions::All,
        reason: "Buildah leaves out what stands before the first FROM, and builds the rest",
        link: "https://github.com/moby/buildkit/issues/2115",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(Versions::Before(&[23]).contains("20.10.24+dfsg1"));
        assert!(!Versions::Before(&[4, 3]).contains("4.3.1"));
        assert!(Versions::Since(&[4, 3]).contains("4.3.1"));
        assert!(Versions::Since(&[5]).contains("10.0.0-rc1"));
    }

    #[test]
    fn every_divergence_names_a_case_and_a_link() {
        for known in DIVERGENCES {
            assert!(crate::cases::all().any(|case| case.id == known.case), "{}", known.case);
            assert!(known.link.starts_with("https://"), "{}", known.case);
        }
    }
}
