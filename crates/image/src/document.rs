//! Tells manifests from indexes, and refuses what could be both.

use boxwright_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::manifest::{DOCUMENT_LIMIT, Document, media_type as types};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Manifest,
    Index,
}

fn shape_of(media_type: &str) -> Option<Shape> {
    // A `Content-Type` may carry parameters.
    match media_type.split(';').next().unwrap_or_default().trim() {
        types::OCI_MANIFEST | types::DOCKER_MANIFEST => Some(Shape::Manifest),
        types::OCI_INDEX | types::DOCKER_INDEX => Some(Shape::Index),
        _ => None,
    }
}

pub(crate) fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Document> {
    let wrong = |cause: String| {
        Error::new(ErrorKind::Protocol, "cannot read the manifest").with_cause(cause)
    };
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(wrong(format!("it has {} bytes, more than {DOCUMENT_LIMIT}", bytes.len())));
    }
    let value: Value =
        serde_json::from_slice(bytes).map_err(|e| wrong(format!("it is not JSON: {e}")))?;
    let object = value.as_object().ok_or_else(|| wrong("it is no JSON object".into()))?;
    match object.get("schemaVersion").and_then(Value::as_u64) {
        Some(2) => {}
        Some(1) => {
            return Err(wrong("it has schema version 1, which Docker gave up in 2019".into())
                .with_remedy("build and push the image again with a tool of today"));
        }
        _ => return Err(wrong("it has no `schemaVersion` of 2".into())),
    }
    let has = |field: &str| object.contains_key(field);
    // CVE-2021-41190: the same bytes must not mean an image to one program and a list to another.
    let by_fields = match (has("config") || has("layers"), has("manifests")) {
        (true, false) => Shape::Manifest,
        (false, true) => Shape::Index,
        (true, true) => {
            return Err(wrong("it has the fields of a manifest and those of an index".into()));
        }
        (false, false) => return Err(wrong("it has neither `layers` nor `manifests`".into())),
    };
    let own = match object.get("mediaType") {
        None => None,
        Some(Value::String(own)) if own.is_empty() => None,
        Some(Value::String(own)) => Some(own.as_str()),
        Some(_) => return Err(wrong("its `mediaType` is no text".into())),
    };
    for said in [own, media_type].into_iter().flatten() {
        match shape_of(said) {
            Some(shape) if shape == by_fields => {}
            Some(_) => return Err(wrong(format!("its fields contradict its media type `{said}`"))),
            // A registry may answer `application/json`; the document's own word is then enough.
            None if own != Some(said) && is_generic(said) => {}
            None => return Err(wrong(format!("its media type `{said}` is unknown"))),
        }
    }
    let read = |error: serde_json::Error| wrong(error.to_string());
    Ok(match by_fields {
        Shape::Manifest => Document::Manifest(serde_json::from_value(value).map_err(read)?),
        Shape::Index => Document::Index(serde_json::from_value(value).map_err(read)?),
    })
}

fn is_generic(media_type: &str) -> bool {
    let name = media_type.split(';').next().unwrap_or_default().trim();
    matches!(name, "" | "application/json" | "text/plain" | "application/octet-stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn manifest(extra: &str) -> String {
        format!(
            r#"{{"schemaVersion":2{extra},"config":{{"mediaType":"application/vnd.oci.image.config.v1+json",
            "digest":"{HEX}","size":2}},"layers":[]}}"#
        )
    }

    #[test]
    fn reads_a_manifest_without_a_media_type() {
        let document = parse(manifest("").as_bytes(), Some(types::OCI_MANIFEST)).unwrap();
        assert!(matches!(document, Document::Manifest(m) if m.config.size == 2));
    }

    #[test]
    fn a_document_that_is_both_is_refused_threat_28() {
        let both = manifest(r#","manifests":[]"#);
        assert_eq!(parse(both.as_bytes(), None).unwrap_err().kind(), ErrorKind::Protocol);
        let lying = manifest(&format!(r#","mediaType":"{}""#, types::OCI_INDEX));
        assert_eq!(parse(lying.as_bytes(), None).unwrap_err().kind(), ErrorKind::Protocol);
        let as_index = parse(manifest("").as_bytes(), Some(types::DOCKER_INDEX));
        assert_eq!(as_index.unwrap_err().kind(), ErrorKind::Protocol);
    }

    #[test]
    fn a_generic_content_type_says_nothing() {
        let typed = manifest(&format!(r#","mediaType":"{}""#, types::OCI_MANIFEST));
        assert!(parse(typed.as_bytes(), Some("application/json; charset=utf-8")).is_ok());
        assert!(parse(manifest(r#","mediaType":"text/html""#).as_bytes(), None).is_err());
    }

    #[test]
    fn a_huge_document_is_refused_before_it_is_read_threat_10() {
        let huge = vec![b' '; 5 << 20];
        assert!(parse(&huge, None).unwrap_err().causes()[0].contains("more than 4194304"));
    }
}
