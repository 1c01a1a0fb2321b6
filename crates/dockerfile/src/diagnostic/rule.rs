//! The names of BuildKit's build checks, for the warnings that are the same here.

use std::fmt;

/// A build check. Its name is the one that BuildKit gives it, so that `# check=skip=NAME` means the same everywhere.
///
/// Source: <https://docs.docker.com/reference/build-checks/>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Two stages have one name.
    DuplicateStageName,
    /// `ENV` or `LABEL` without `=`.
    LegacyKeyValueFormat,
    /// `MAINTAINER`.
    MaintainerDeprecated,
    /// A blank line inside an instruction.
    NoEmptyContinuation,
    /// A stage named `scratch` or `context`.
    ReservedStageName,
    /// A variable in `FROM` that no `ARG` before it declares.
    UndefinedArgInFrom,
    /// A variable that is not set.
    UndefinedVar,
}

impl Rule {
    /// Returns BuildKit's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DuplicateStageName => "DuplicateStageName",
            Self::LegacyKeyValueFormat => "LegacyKeyValueFormat",
            Self::MaintainerDeprecated => "MaintainerDeprecated",
            Self::NoEmptyContinuation => "NoEmptyContinuation",
            Self::ReservedStageName => "ReservedStageName",
            Self::UndefinedArgInFrom => "UndefinedArgInFrom",
            Self::UndefinedVar => "UndefinedVar",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
