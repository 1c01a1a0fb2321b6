//! The JSON schemas of the OCI image specification, and whether a document keeps to them.
//!
//! This knows exactly the keywords that those seven schemas use. Another one is an error when the schemas are read.

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;
use serde_json::{Map, Value};

use super::read_json;
use crate::artifact::Image;
use crate::case::{CaseResult, Failure};

/// The corpus that the schemas are in.
pub(super) const NAME: &str = "oci-image-spec-schema";

/// What a document may be, and the file of its schema.
const KINDS: [(&str, &str); 5] = [
    ("config", "config-schema.json"),
    ("descriptor", "content-descriptor.json"),
    ("imageindex", "image-index-schema.json"),
    ("imagelayout", "image-layout-schema.json"),
    ("manifest", "image-manifest-schema.json"),
];

/// Keywords that say nothing about documents.
const INFORMATIVE: [&str; 6] = ["$schema", "definitions", "description", "format", "id", "media"];

/// All schemas, by the names of their files.
#[derive(Debug)]
pub struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// Reads the schemas in `folder`.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`] when they cannot be read, or one uses a keyword that is not known here.
    pub fn read(folder: &Path) -> CaseResult<Option<Self>> {
        if !folder.is_dir() {
            return Ok(None);
        }
        let mut all = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".json") && name != "cases.json" {
                all.insert(name, read_json(&path)?);
            }
        }
        let schemas = Self(all);
        for (_, file) in KINDS {
            schemas.file(file)?;
        }
        schemas.0.values().try_for_each(check_keywords)?;
        Ok(Some(schemas))
    }

    /// Says what is wrong with a document of a kind, or `None`.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`] when there is no schema for the kind.
    pub fn problem(&self, kind: &str, document: &Value) -> CaseResult<Option<String>> {
        let file = KINDS.iter().find(|(known, _)| *known == kind).map(|(_, file)| *file);
        let file = file.ok_or_else(|| Failure::harness(format!("`{kind}` has no schema")))?;
        let place = Place { file, path: String::new() };
        let problem = self.check(self.file(file)?, document, &place)?;
        Ok(problem.or_else(|| wrong_digest(document)))
    }

    /// Fails unless manifest and config of an image in the form of the OCI keep to the schemas.
    pub(super) async fn check_image(&self, image: &Image) -> CaseResult {
        let manifest = image.manifest();
        let [of_manifest, of_config] = image.documents().await?;
        for (media_type, kind, bytes) in [
            (&manifest.descriptor.media_type, "manifest", of_manifest),
            (&manifest.config.media_type, "config", of_config),
        ] {
            if !media_type.starts_with("application/vnd.oci.image.") {
                continue;
            }
            let document: Value = serde_json::from_slice(&bytes)
                .map_err(|error| Failure::promise(format!("the {kind} is no JSON: {error}")))?;
            // SPEC: "For portability, layers SHOULD have at least one entry": an image without files has none.
            let is_empty = kind == "manifest" && manifest.layers.is_empty();
            if let Some(problem) = self.problem(kind, &document)?.filter(|_| !is_empty) {
                let message = format!("the {kind} breaks the image specification: {problem}");
                return Err(Failure::promise(message));
            }
        }
        Ok(())
    }

    fn file(&self, name: &str) -> CaseResult<&Value> {
        self.0.get(name).ok_or_else(|| Failure::harness(format!("the schema `{name}` is missing")))
    }

    /// Returns what a `$ref` in `file` leads to, and the file it is in.
    fn target<'s>(&'s self, file: &'s str, reference: &'s str) -> CaseResult<(&'s str, &'s Value)> {
        let (name, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let name = if name.is_empty() { file } else { name };
        let found = self.file(name)?.pointer(pointer);
        let missing = || Failure::harness(format!("`{reference}` in `{file}` leads nowhere"));
        Ok((name, found.ok_or_else(missing)?))
    }

    fn check(
        &self,
        schema: &Value,
        value: &Value,
        place: &Place<'_>,
    ) -> CaseResult<Option<String>> {
        let wrong = |what: String| Ok(Some(format!("`{}` {what}", place.path)));
        if let Some(reference) = schema["$ref"].as_str() {
            let (file, schema) = self.target(place.file, reference)?;
            return self.check(schema, value, &Place { file, path: place.path.clone() });
        }
        if let Some(kind) = schema["type"].as_str()
            && !is_a(value, kind)
        {
            return wrong(format!("is no {kind}"));
        }
        if let Some(all) = schema["enum"].as_array()
            && !all.contains(value)
        {
            return wrong(format!("is {value}"));
        }
        if let Some(options) = schema["oneOf"].as_array() {
            let mut fitting = 0;
            for option in options {
                fitting += usize::from(self.check(option, value, place)?.is_none());
            }
            if fitting != 1 {
                return wrong(format!("fits {fitting} of {} forms", options.len()));
            }
        }
        if let Some(problem) = self.check_scalar(schema, value)? {
            return wrong(problem);
        }
        match value {
            Value::Object(object) => self.check_object(schema, object, place),
            Value::Array(items) => self.check_items(schema, items, place),
            _ => Ok(None),
        }
    }

    fn check_scalar(&self, schema: &Value, value: &Value) -> CaseResult<Option<String>> {
        if let Some(number) = value.as_f64() {
            if schema["minimum"].as_f64().is_some_and(|least| number < least) {
                return Ok(Some(format!("is {number}, which is too small")));
            }
            if schema["maximum"].as_f64().is_some_and(|most| number > most) {
                return Ok(Some(format!("is {number}, which is too large")));
            }
        }
        if let (Some(text), Some(pattern)) = (value.as_str(), schema["pattern"].as_str())
            && !regex(pattern)?.is_match(text)
        {
            return Ok(Some(format!("is `{text}`")));
        }
        Ok(None)
    }

    fn check_object(
        &self,
        schema: &Value,
        object: &Map<String, Value>,
        place: &Place<'_>,
    ) -> CaseResult<Option<String>> {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                return Ok(Some(format!("`{}` has no `{name}`", place.path)));
            }
        }
        for (name, value) in object {
            let inner = Place { file: place.file, path: format!("{}/{name}", place.path) };
            if let Some(schema) = schema["properties"].get(name)
                && let Some(problem) = self.check(schema, value, &inner)?
            {
                return Ok(Some(problem));
            }
            for (pattern, schema) in schema["patternProperties"].as_object().into_iter().flatten() {
                if regex(pattern)?.is_match(name)
                    && let Some(problem) = self.check(schema, value, &inner)?
                {
                    return Ok(Some(problem));
                }
            }
        }
        Ok(None)
    }

    fn check_items(
        &self,
        schema: &Value,
        items: &[Value],
        place: &Place<'_>,
    ) -> CaseResult<Option<String>> {
        if schema["minItems"].as_u64().is_some_and(|least| (items.len() as u64) < least) {
            return Ok(Some(format!("`{}` has too few entries", place.path)));
        }
        for (number, value) in items.iter().enumerate() {
            let inner = Place { file: place.file, path: format!("{}/{number}", place.path) };
            if let Some(schema) = schema.get("items")
                && let Some(problem) = self.check(schema, value, &inner)?
            {
                return Ok(Some(problem));
            }
        }
        Ok(None)
    }
}

/// Finds a digest that the pattern of the schemas lets through.
fn wrong_digest(document: &Value) -> Option<String> {
    match document {
        Value::Object(object) => {
            // SPEC: "When the algorithm identifier is sha256, the encoded portion MUST match /[a-f0-9]{64}/."
            let digest = object.get("digest").and_then(Value::as_str);
            let hex = digest.and_then(|digest| digest.strip_prefix("sha256:"));
            let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            match hex.filter(|hex| hex.len() != 64 || !hex.chars().all(is_hex)) {
                Some(hex) => Some(format!("`sha256:{hex}` is no digest")),
                None => object.values().find_map(wrong_digest),
            }
        }
        Value::Array(items) => items.iter().find_map(wrong_digest),
        _ => None,
    }
}

/// Where in which document something is looked at.
struct Place<'p> {
    /// The file of the schema, which references are relative to.
    file: &'p str,
    path: String,
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        // `check_keywords` lets no other through.
        _ => false,
    }
}

fn regex(pattern: &str) -> CaseResult<Regex> {
    Regex::new(pattern).map_err(|error| Failure::harness(format!("`{pattern}`: {error}")))
}

fn check_keywords(schema: &Value) -> CaseResult {
    let Value::Object(schema) = schema else {
        return Err(Failure::harness(format!("{schema} is no schema")));
    };
    for (keyword, value) in schema {
        let inner: Vec<&Value> = match keyword.as_str() {
            "definitions" | "properties" | "patternProperties" => {
                value.as_object().into_iter().flat_map(Map::values).collect()
            }
            "oneOf" => value.as_array().into_iter().flatten().collect(),
            "items" => vec![value],
            "type" => {
                let known = ["object", "array", "boolean", "string", "integer", "null"];
                if !value.as_str().is_some_and(|kind| known.contains(&kind)) {
                    return Err(Failure::harness(format!("a schema has the unknown type {value}")));
                }
                Vec::new()
            }
            "$ref" | "enum" | "maximum" | "minItems" | "minimum" | "pattern" | "required" => {
                Vec::new()
            }
            known if INFORMATIVE.contains(&known) => Vec::new(),
            other => {
                return Err(Failure::harness(format!(
                    "a schema has the unknown keyword `{other}`"
                )));
            }
        };
        inner.into_iter().try_for_each(check_keywords)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schemas() -> Schemas {
        let part = json!({"definitions": {"name": {"type": "string", "pattern": "^[a-z]+$"}}});
        let whole = json!({
            "type": "object",
            "properties": {
                "name": {"$ref": "part.json#/definitions/name"},
                "count": {"type": "integer", "minimum": 1, "maximum": 3},
                "list": {"type": "array", "minItems": 1, "items": {"oneOf": [{"type": "null"}, {"type": "string"}]}},
                "labels": {"type": "object", "patternProperties": {".{1,}": {"type": "string"}}},
            },
            "required": ["name"],
        });
        Schemas([("part.json".to_owned(), part), ("config-schema.json".to_owned(), whole)].into())
    }

    #[test]
    fn documents_are_held_against_every_keyword() {
        let schemas = schemas();
        let problem = |document: Value| schemas.problem("config", &document).unwrap();
        let right = json!({"name": "a", "count": 2, "list": [null, "x"], "labels": {"a": "b"}});
        assert_eq!(problem(right), None);
        for (wrong, what) in [
            (json!([]), "`` is no object"),
            (json!({}), "`` has no `name`"),
            (json!({"name": "A"}), "`/name` is `A`"),
            (json!({"name": "a", "count": 0}), "`/count` is 0, which is too small"),
            (json!({"name": "a", "count": 4}), "`/count` is 4, which is too large"),
            (json!({"name": "a", "count": 1.5}), "`/count` is no integer"),
            (json!({"name": "a", "list": []}), "`/list` has too few entries"),
            (json!({"name": "a", "list": [1]}), "`/list/0` fits 0 of 2 forms"),
            (json!({"name": "a", "labels": {"x": 1}}), "`/labels/x` is no string"),
        ] {
            assert_eq!(problem(wrong).as_deref(), Some(what));
        }
        assert!(schemas.problem("other", &json!({})).is_err());
    }

    #[test]
    fn an_unknown_keyword_is_noticed_however_deep() {
        check_keywords(&json!({"type": "string", "pattern": "x", "format": "uri"})).unwrap();
        let deep = json!({"properties": {"a": {"items": {"uniqueItems": true}}}});
        assert!(matches!(check_keywords(&deep), Err(Failure::Harness(_))));
        assert!(matches!(check_keywords(&json!({"type": "number"})), Err(Failure::Harness(_))));
    }
}
