//! What one case on one engine came to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What one case on one engine came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// The promise is kept.
    Pass,
    /// The promise is broken.
    Fail {
        /// How.
        reason: String,
    },
    /// The engine declares that it cannot do this.
    Unsupported {
        /// The declared reason.
        reason: String,
        /// The declared remedy.
        remedy: String,
    },
    /// The promise is broken in a way that is known and listed.
    Diverges {
        /// How the engine differs.
        reason: String,
        /// Where that is written down.
        link: String,
        /// What was found.
        found: String,
    },
    /// The suite or its surroundings failed, so nothing is known.
    Broken {
        /// What is missing.
        reason: String,
    },
}

impl Verdict {
    /// The names of all verdicts, in the order of reports.
    pub const NAMES: [&'static str; 5] = ["pass", "fail", "unsupported", "diverges", "broken"];

    /// Returns the verdict's stable name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail { .. } => "fail",
            Self::Unsupported { .. } => "unsupported",
            Self::Diverges { .. } => "diverges",
            Self::Broken { .. } => "broken",
        }
    }

    /// Returns whether the run must not succeed with it.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Fail { .. } | Self::Broken { .. })
    }

    /// Returns why, on one line, where there is more to say than the name.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Pass => None,
            Self::Fail { reason } | Self::Broken { reason } => Some(reason.clone()),
            Self::Unsupported { reason, remedy } => Some(format!("{reason}; help: {remedy}")),
            Self::Diverges { reason, link, .. } => Some(format!("{reason} ({link})")),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
