//! The platform an image is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// An operating system and processor, normalized as containerd's `platforms` package does, so that
/// equal platforms are equal values: `x86_64` is `amd64`, `aarch64` and `arm64/v8` are `arm64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    /// Returns the platform of these parts, normalized.
    #[must_use]
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let os = match os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let architecture = architecture.to_ascii_lowercase();
        let variant = variant.map(str::to_ascii_lowercase).filter(|v| !v.is_empty());
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
            ("x86_64" | "x86-64", Some(_)) => ("amd64", variant),
            ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", None),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
            ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7".to_owned())),
            ("armel", _) | ("arm", Some("6")) => ("arm", Some("v6".to_owned())),
            ("arm", Some("5")) => ("arm", Some("v5".to_owned())),
            ("powerpc64le", _) => ("ppc64le", None),
            (other, _) => (other, variant),
        };
        Self { os, architecture: architecture.to_owned(), variant }
    }

    /// Returns the platform of Linux containers on this machine.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::new("linux", std::env::consts::ARCH, None)
    }

    /// Returns the operating system, e.g. `linux`.
    #[must_use]
    pub fn os(&self) -> &str {
        &self.os
    }

    /// Returns the processor architecture by Go's name, e.g. `amd64`.
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Returns the variant of the architecture, e.g. `v7`.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let plain = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if !parts.iter().all(plain) {
            return Err(invalid(text));
        }
        match parts[..] {
            // SPEC: containerd's `platforms.Parse`: a lone word is an architecture or an
            // operating system, whichever is known.
            [one] if ["linux", "windows", "darwin", "freebsd"].contains(&one) => {
                Ok(Self::new(one, std::env::consts::ARCH, None))
            }
            [architecture] => Ok(Self::new("linux", architecture, None)),
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(invalid(text)),
        }
    }
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("`{text}` is not a platform"))
        .with_remedy("write it as OS/ARCHITECTURE, such as `linux/amd64` or `linux/arm/v7`")
}

impl TryFrom<String> for Platform {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_deref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_platform_are_one_value() {
        for (text, normal) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("Linux/amd64/v3", "linux/amd64/v3"),
            ("riscv64", "linux/riscv64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), normal);
        }
        for bad in ["", "/", "linux/", "linux//v7", "a/b/c/d", "linux/amd 64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
