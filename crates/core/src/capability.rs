//! What an engine offers: capabilities, and the answers an engine gives about them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Declares an enumeration with a stable name for each variant and a list of them all.
macro_rules! named_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the stable name, as settings, JSON output and reports have it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use named_enum;

named_enum! {
    /// Something an engine may or may not be able to do.
    ///
    /// Exhaustive on purpose: adding a variant must break every engine crate until
    /// that engine has given its answer.
    Capability {
        /// Builds an image from a Dockerfile.
        Build = "build",
        /// Runs commands with `RUN`.
        BuildRun = "build-run",
        /// Builds from a tar stream as the context.
        BuildFromTar = "build-from-tar",
        /// Builds from a git or HTTP address as the context.
        BuildFromAddress = "build-from-address",
        /// Builds for another platform than its own, or refuses to name one.
        BuildForPlatform = "build-for-platform",
        /// Builds for several platforms at once, and makes an index of the images.
        BuildForPlatforms = "build-for-platforms",
        /// Hands secrets to `RUN --mount=type=secret`.
        BuildSecrets = "build-secrets",
        /// Forwards ssh agents to `RUN --mount=type=ssh`.
        BuildSsh = "build-ssh",
        /// Takes cached steps from images in registries.
        BuildCacheFrom = "build-cache-from",
        /// Takes files and images from further contexts.
        BuildContexts = "build-contexts",
        /// Makes images in the format that is asked for.
        BuildFormat = "build-format",
        /// Keeps the time of the build out of the image.
        BuildReproducible = "build-reproducible",
        /// Adds lines to `/etc/hosts` of build steps.
        BuildExtraHosts = "build-extra-hosts",
        /// Sets the size of `/dev/shm` of build steps.
        BuildShmSize = "build-shm-size",
        /// Chooses the network of build steps.
        BuildNetwork = "build-network",
        /// Lets build steps trust further certificate authorities.
        BuildCaBundle = "build-ca-bundle",
        /// Makes an image of the engine's own kind too, which instances are launched from.
        BuildInstanceImage = "build-instance-image",
        /// Pushes from the engine's own store.
        Push = "push",
        /// Pulls into the engine's own store.
        Pull = "pull",
        /// Tells what an image is.
        Inspect = "inspect",
        /// Lists its images.
        List = "list",
        /// Gives an image another name.
        Tag = "tag",
        /// Removes images and names.
        Remove = "remove",
        /// Writes an image to an archive.
        Export = "export",
        /// Reads an image from an archive.
        Import = "import",
        /// Runs a command in an image.
        Run = "run",
    }
}

/// How an engine answers for one [`Capability`], or for one [`Feature`](crate::Feature) of a
/// Dockerfile. A refusal says why and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "support", rename_all = "kebab-case")]
pub enum Support {
    /// The engine does it itself.
    Native,
    /// This project does it on the engine's behalf.
    Emulated {
        /// By what means, e.g. "the portable builder".
        how: &'static str,
    },
    /// It cannot be done here.
    Unsupported {
        /// Why, as a clause, e.g. "the daemon has BuildKit disabled".
        reason: &'static str,
        /// What the user can do, as an instruction that works.
        remedy: &'static str,
    },
}

impl Support {
    /// The answer of engines without instances about [`Capability::BuildInstanceImage`].
    pub const NO_INSTANCES: Self = Self::Unsupported {
        reason: "this engine launches no instances",
        remedy: "build with `--engine lxd`",
    };

    /// Returns whether it can be done, natively or emulated.
    #[must_use]
    pub fn is_available(&self) -> bool {
        !matches!(self, Self::Unsupported { .. })
    }
}

/// What an engine answered about every [`Capability`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Capabilities(BTreeMap<Capability, Support>);

impl Capabilities {
    /// Asks `answer` about every capability. Write it as a `match` with no wildcard.
    pub fn probe(answer: impl Fn(Capability) -> Support) -> Self {
        Self(Capability::ALL.iter().map(|&capability| (capability, answer(capability))).collect())
    }

    /// Returns the answer for `capability`.
    #[must_use]
    pub fn get(&self, capability: Capability) -> &Support {
        &self.0[&capability]
    }

    /// Returns every capability with its answer, in the order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = (Capability, &Support)> {
        self.0.iter().map(|(&capability, support)| (capability, support))
    }

    /// Fails with the declared reason and remedy unless `capability` is available.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`].
    pub fn require(&self, capability: Capability) -> Result<()> {
        match self.get(capability) {
            Support::Native | Support::Emulated { .. } => Ok(()),
            Support::Unsupported { reason, remedy } => Err(Error::new(
                ErrorKind::Unsupported,
                format!("`{capability}` is not supported here"),
            )
            .with_cause(*reason)
            .with_remedy(*remedy)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_reason_and_remedy() {
        let capabilities = Capabilities::probe(|capability| match capability {
            Capability::BuildSsh => {
                Support::Unsupported { reason: "no session", remedy: "use BuildKit" }
            }
            _ => Support::Native,
        });
        assert!(capabilities.require(Capability::Build).is_ok());
        let error = capabilities.require(Capability::BuildSsh).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.to_string(), "`build-ssh` is not supported here");
        assert_eq!(
            (error.causes(), error.remedy()),
            (vec!["no session".into()], Some("use BuildKit"))
        );
    }
}
