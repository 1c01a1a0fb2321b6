//! Manifests and indexes: what a registry gives for a name.

use std::collections::BTreeMap;

use boxwright_core::{Descriptor, Digest, Platform};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::failure::{Failure, Outcome};

/// The largest manifest that is read.
// SPEC: OCI distribution 1.1, "Pushing Manifests": registries should take manifests of 4 MiB.
pub(crate) const MANIFEST_LIMIT: usize = 4 << 20;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The media types that are asked for.
pub(crate) const ACCEPTED: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX];

/// A manifest or an index, with the bytes it was read from.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) descriptor: Descriptor,
    pub(crate) bytes: Bytes,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Image(ImageManifest),
    Index(Vec<IndexEntry>),
}

/// What an image consists of.
#[derive(Clone, Debug)]
pub(crate) struct ImageManifest {
    pub(crate) config: Part,
    pub(crate) layers: Vec<Part>,
}

/// A descriptor, as a manifest has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part {
    #[serde(flatten)]
    pub(crate) descriptor: Descriptor,
    #[serde(default)]
    pub(crate) urls: Option<Vec<String>>,
}

/// One manifest of an index.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IndexEntry {
    #[serde(flatten)]
    pub(crate) descriptor: Descriptor,
    platform: Option<WirePlatform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct WirePlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<Part>,
    layers: Option<Vec<Part>>,
    manifests: Option<Vec<IndexEntry>>,
    fs_layers: Option<IgnoredAny>,
}

impl Document {
    /// Reads a manifest or an index. Media type, `Content-Type`, and content must agree.
    pub(crate) fn read(bytes: Bytes, content_type: Option<&str>, digest: Digest) -> Outcome<Self> {
        if bytes.trim_ascii_start().starts_with(b"<") {
            return Err(Failure::protocol(
                "the registry answered with a page instead of a manifest",
            )
            .with_remedy(
                "check the host in the name; a proxy or a page to sign in may answer in its place",
            ));
        }
        let raw: Raw = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::protocol("the manifest is not one").with_detail(error))?;
        if raw.fs_layers.is_some() || raw.schema_version == 1 {
            return Err(Failure::new(
                boxwright_core::ErrorKind::Unsupported,
                "the manifest has Docker's first format, which no registry takes any more",
            )
            .with_remedy("push the image again with a current engine"));
        }
        let is_index = raw.manifests.is_some();
        if is_index && (raw.config.is_some() || raw.layers.is_some()) {
            // Two readers would take it for two different things (CVE-2021-41190).
            return Err(Failure::protocol("the manifest is both an image and an index"));
        }
        let sent = content_type.map(|text| text.split(';').next().unwrap_or_default().trim());
        let sent = sent.filter(|text| ACCEPTED.contains(text));
        let written = raw.media_type.as_deref().filter(|text| !text.is_empty());
        if let (Some(sent), Some(written)) = (sent, written)
            && sent != written
        {
            return Err(Failure::protocol(format!(
                "the manifest was sent as `{sent}` and says that it is `{written}`"
            )));
        }
        let assumed = if is_index { OCI_INDEX } else { OCI_MANIFEST };
        let media_type = written.or(sent).unwrap_or(assumed).to_owned();
        if !ACCEPTED.contains(&media_type.as_str()) {
            return Err(Failure::protocol(format!("`{media_type}` is not the type of an image")));
        }
        if is_index != matches!(media_type.as_str(), OCI_INDEX | DOCKER_INDEX) {
            return Err(Failure::protocol(format!(
                "the manifest is not the `{media_type}` it says"
            )));
        }
        let kind = match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), _, _) => Kind::Index(manifests),
            (None, Some(config), Some(layers)) => Kind::Image(ImageManifest { config, layers }),
            (None, _, _) => {
                return Err(Failure::protocol("the manifest has no config or no layers"));
            }
        };
        let descriptor = Descriptor { media_type, digest, size: bytes.len() as u64 };
        Ok(Self { descriptor, bytes, kind })
    }
}

impl IndexEntry {
    /// Returns the platform of an image, or `None` for what is none, such as an attestation.
    pub(crate) fn platform(&self) -> Option<Platform> {
        let is_attestation = self
            .annotations
            .as_ref()
            .is_some_and(|annotations| annotations.contains_key("vnd.docker.reference.type"));
        let WirePlatform { os, architecture, variant } = self.platform.as_ref()?;
        let is_unknown = [os, architecture].into_iter().any(|t| t.is_empty() || t == "unknown");
        if is_attestation || is_unknown {
            return None;
        }
        Some(Platform::new(os, architecture, variant.as_deref()))
    }
}

/// Returns the entry for `wanted`: the very platform, else one whose programs run on it.
pub(crate) fn choose<'a>(entries: &'a [IndexEntry], wanted: &Platform) -> Option<&'a IndexEntry> {
    let find = |platform: &Platform| {
        entries.iter().find(|entry| entry.platform().as_ref() == Some(platform))
    };
    // Indexes of one image for no named platform exist; it is then the one.
    let only = || match entries {
        [entry] if entry.platform.is_none() => Some(entry),
        _ => None,
    };
    find(wanted).or_else(|| older_variants(wanted).iter().find_map(find)).or_else(only)
}

// SPEC: containerd's `platforms.Only`: an arm runs programs for lower versions, an amd64 level those
// for lower levels.
fn older_variants(platform: &Platform) -> Vec<Platform> {
    let of = |architecture: &str, variant: Option<&str>| {
        Platform::new(platform.os(), architecture, variant)
    };
    match (platform.architecture(), platform.variant()) {
        ("arm", Some("v7")) => vec![of("arm", Some("v6")), of("arm", Some("v5"))],
        ("arm", Some("v6")) => vec![of("arm", Some("v5"))],
        ("amd64", Some("v4")) => {
            vec![of("amd64", Some("v3")), of("amd64", Some("v2")), of("amd64", None)]
        }
        ("amd64", Some("v3")) => vec![of("amd64", Some("v2")), of("amd64", None)],
        ("amd64", Some("v2")) => vec![of("amd64", None)],
        _ => Vec::new(),
    }
}

/// The parts of an image's config that a pull needs.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    variant: Option<String>,
    rootfs: RootFs,
}

#[derive(Clone, Debug, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

impl Config {
    pub(crate) fn read(bytes: &[u8]) -> Outcome<Self> {
        serde_json::from_slice(bytes).map_err(|error| {
            Failure::protocol("the config is not that of a container image").with_detail(error)
        })
    }

    pub(crate) fn platform(&self) -> Option<Platform> {
        let is_known = !self.os.is_empty() && !self.architecture.is_empty();
        is_known.then(|| Platform::new(&self.os, &self.architecture, self.variant.as_deref()))
    }

    pub(crate) fn diff_ids(self) -> Vec<Digest> {
        self.rootfs.diff_ids.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::ErrorKind;

    fn digest() -> Digest {
        Digest::from_sha256([7; 32])
    }

    fn read(text: &str, content_type: Option<&str>) -> Outcome<Document> {
        Document::read(Bytes::copy_from_slice(text.as_bytes()), content_type, digest())
    }

    fn part() -> String {
        format!(r#"{{"mediaType":"x/y","digest":"{}","size":3}}"#, digest())
    }

    #[test]
    fn one_document_that_is_image_and_index_is_refused_threat_28() {
        let part = part();
        let image = format!(r#"{{"schemaVersion":2,"config":{part},"layers":[{part}]}}"#);
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{part}]}}"#);
        let both = format!(r#"{{"schemaVersion":2,"config":{part},"layers":[],"manifests":[]}}"#);
        assert!(matches!(read(&image, None).unwrap().kind, Kind::Image(_)));
        assert!(matches!(read(&index, Some(OCI_INDEX)).unwrap().kind, Kind::Index(_)));
        for (text, content_type) in [
            (both.as_str(), None),
            (image.as_str(), Some(OCI_INDEX)),
            (index.as_str(), Some(OCI_MANIFEST)),
            (index.as_str(), Some(DOCKER_MANIFEST)),
            (&image.replace("{\"schema", "{\"mediaType\":\"application/x\",\"schema"), None),
            (&image.replace("\"layers\"", "\"config\":null,\"layers\""), None),
            ("{}", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(read(text, content_type).unwrap_err().kind(), ErrorKind::Protocol, "{text}");
        }
    }

    #[test]
    fn a_digest_that_is_none_never_becomes_a_path_threat_27() {
        let text = format!(r#"{{"schemaVersion":2,"config":{},"layers":[]}}"#, part());
        let bad = text.replace(digest().as_str(), "sha256:../../etc/passwd");
        assert!(read(&text, None).is_ok());
        assert_eq!(read(&bad, None).unwrap_err().kind(), ErrorKind::Protocol);
    }

    #[test]
    fn an_attestation_is_never_a_platform_threat_44() {
        let entry = |platform: &str| {
            let part = part();
            let part = part.trim_end_matches('}');
            let text = format!(r#"{part},"platform":{platform}}}"#);
            serde_json::from_str::<IndexEntry>(&text).unwrap()
        };
        let entries = [
            entry(r#"{"os":"unknown","architecture":"unknown"}"#),
            entry(r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#),
            entry(r#"{"os":"linux","architecture":"arm","variant":"v6"}"#),
            entry(r#"{"os":"linux","architecture":"amd64"}"#),
        ];
        let chosen = |platform: &str| {
            let found = choose(&entries, &platform.parse().unwrap());
            found.map(|entry| entry.platform().unwrap().to_string())
        };
        assert_eq!(chosen("linux/arm64").as_deref(), Some("linux/arm64"));
        assert_eq!(chosen("linux/arm/v7").as_deref(), Some("linux/arm/v6"));
        assert_eq!(chosen("linux/amd64/v3").as_deref(), Some("linux/amd64"));
        assert_eq!(chosen("linux/riscv64"), None);
    }
}
