//! `RUN --mount`: its options, and what they mean once variables have values.

mod draft;
mod fields;

use boxwright_core::CacheSharing;

use crate::diagnostic::Span;

pub(crate) use draft::evaluate;
pub(super) use draft::truth;
pub(super) use fields::fields;

/// One option of a mount, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOption {
    /// Its name, in lower case.
    pub key: String,
    /// What is after the `=`, if there is one.
    pub value: Option<String>,
    /// All of it.
    pub written: String,
    /// Where it is.
    pub span: Span,
}

/// A mount of a step. Paths are as they are written; [`crate::plan`] makes them absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// `target`: where it is mounted.
    pub target: String,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// What a mount mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// Files of a stage, an image or a context. What is written to them is lost.
    Bind {
        /// `from`
        from: Option<String>,
        /// `source`
        source: String,
    },
    /// A folder that is kept from build to build.
    Cache {
        /// `id`
        id: String,
        /// `from`: what it holds at first.
        from: Option<String>,
        /// `source`: a folder in that.
        source: String,
        /// `sharing`
        sharing: CacheSharing,
        /// Owner and rights.
        owner: Owner,
    },
    /// Memory.
    Tmpfs {
        /// `size` in bytes.
        size: Option<u64>,
    },
    /// A secret, as a file or as a variable.
    Secret {
        /// `id`
        id: String,
        /// `env`: the variable.
        env: Option<String>,
        /// Whether there is a file: always, but when there is a variable and no `target`.
        file: bool,
        /// `required`
        required: bool,
        /// Owner and rights.
        owner: Owner,
    },
    /// A socket of an ssh agent.
    Ssh {
        /// `id`
        id: String,
        /// `required`
        required: bool,
        /// Owner and rights.
        owner: Owner,
    },
}

/// Owner and rights of what is mounted, where they are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// `uid`
    pub uid: Option<u32>,
    /// `gid`
    pub gid: Option<u32>,
    /// `mode`
    pub mode: Option<u32>,
}
