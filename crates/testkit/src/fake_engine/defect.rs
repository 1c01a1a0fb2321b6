//! What a fake engine may do wrong, so that the suite can be shown to notice.

/// One promise that a fake engine breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// `COPY` makes every file 0644.
    ForgetsModes,
    /// `COPY --chown` is ignored.
    ForgetsOwners,
    /// Links in the context become what they point at.
    FollowsLinks,
    /// The ignore file is ignored.
    IgnoresIgnoreFile,
    /// Build arguments of the request are not used.
    ForgetsBuildArguments,
    /// Build arguments are kept in the image's environment.
    KeepsBuildArguments,
    /// The last stage is built, whatever the target is.
    IgnoresTarget,
    /// What a step removes comes back.
    ForgetsWhiteouts,
    /// A failed build is tagged all the same.
    TagsFailures,
    /// The exit code of a failed step is not told.
    ForgetsExitCodes,
    /// Secrets stay where they were mounted.
    KeepsSecrets,
    /// The value of a secret gets into the history, in base64.
    TellsSecrets,
    /// Labels of the request are not used.
    ForgetsLabels,
    /// Only the first name is given.
    ForgetsTags,
    /// Nothing is ever taken from the cache.
    NeverCaches,
    /// Cached steps are taken even if files changed.
    AlwaysCaches,
    /// Cancelled builds go on to their end.
    IgnoresCancel,
    /// Standard error goes where standard output goes.
    MixesStreams,
    /// Commands always end well.
    ForgetsStatus,
    /// Names in an archive are applied at its import.
    AppliesArchiveNames,
    /// Declares everything supported, whether it is or not.
    Boasts,
    /// Declares here-documents unsupported, though they work.
    Understates,
    /// Errors have no cause and no remedy.
    SaysNothing,
    /// Pushes tell a digest that is not the registry's.
    LiesAboutDigests,
}

impl Defect {
    /// Every defect.
    pub const ALL: &[Self] = &[
        Self::ForgetsModes,
        Self::ForgetsOwners,
        Self::FollowsLinks,
        Self::IgnoresIgnoreFile,
        Self::ForgetsBuildArguments,
        Self::KeepsBuildArguments,
        Self::IgnoresTarget,
        Self::ForgetsWhiteouts,
        Self::TagsFailures,
        Self::ForgetsExitCodes,
        Self::KeepsSecrets,
        Self::TellsSecrets,
        Self::ForgetsLabels,
        Self::ForgetsTags,
        Self::NeverCaches,
        Self::AlwaysCaches,
        Self::IgnoresCancel,
        Self::MixesStreams,
        Self::ForgetsStatus,
        Self::AppliesArchiveNames,
        Self::Boasts,
        Self::Understates,
        Self::SaysNothing,
        Self::LiesAboutDigests,
    ];
}
