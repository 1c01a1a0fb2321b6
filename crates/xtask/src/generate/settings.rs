//! `docs/reference/config.md`: the settings files, from the JSON schemas that the program prints.

use std::path::Path;

use serde_json::Value;

use super::{MADE, cell};
use crate::problem::{Explain, Result};
use crate::program::Program;

const HEAD: &str = "# Settings\n\n\
    `boxwright config` shows every setting that is in effect and where it comes from. Flags go before variables of the\n\
    environment, those before the project's `boxwright.toml`, that before the user's file. `boxwright config schema` prints\n\
    these tables as a JSON schema for editors.\n";

/// Asks the program for its schemas and makes a table of each.
pub(super) fn page(boxwright: &Path) -> Result<String> {
    let mut page = format!("{MADE}{HEAD}");
    let files = [
        ("The user's file, `~/.config/boxwright/config.toml`", &["config", "schema"][..]),
        ("A project's file, `boxwright.toml`", &["config", "schema", "--project"]),
    ];
    for (title, arguments) in files {
        let text = Program::without_environment(boxwright).args(arguments).output()?;
        let schema: Value = serde_json::from_slice(&text)
            .explain(|| format!("cannot read what `boxwright {}` prints", arguments.join(" ")))?;
        page.push_str(&format!("\n## {title}\n\n| setting | what it may be | what it does |\n"));
        page.push_str("| --- | --- | --- |\n");
        for row in rows(&schema) {
            page.push_str(&row);
        }
    }
    Ok(page)
}

fn rows(schema: &Value) -> Vec<String> {
    let mut rows = Vec::new();
    add(schema, schema, "", &mut rows);
    rows
}

fn add(root: &Value, schema: &Value, prefix: &str, rows: &mut Vec<String>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, property) in properties {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let target = resolve(root, property);
        if target.get("properties").is_some() {
            add(root, target, &path, rows);
            continue;
        }
        // A table with names of the user's own, such as one for each registry.
        let inner = target.get("additionalProperties").map(|inner| resolve(root, inner));
        if let Some(inner) = inner.filter(|inner| inner.get("properties").is_some()) {
            add(root, inner, &format!("{path}.NAME"), rows);
            continue;
        }
        let about = description(property).or_else(|| description(target)).unwrap_or_default();
        rows.push(format!("| `{path}` | {} | {} |\n", cell(&kind(root, property)), cell(about)));
    }
}

/// Follows a reference into the definitions, also where it stands as the one alternative to `null`.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        return root.pointer(path.trim_start_matches('#')).unwrap_or(schema);
    }
    match alternatives(schema).as_slice() {
        [only] => resolve(root, only),
        _ => schema,
    }
}

/// Returns what a value may be, apart from `null`.
fn alternatives(schema: &Value) -> Vec<&Value> {
    let all = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    let is_null = |schema: &Value| schema.get("type").and_then(Value::as_str) == Some("null");
    all.into_iter().flatten().filter(|schema| !is_null(schema)).collect()
}

fn description(schema: &Value) -> Option<&str> {
    schema.get("description").and_then(Value::as_str)
}

/// Says in words what a value may be.
fn kind(root: &Value, schema: &Value) -> String {
    let schema = resolve(root, schema);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return quoted(values.iter());
    }
    if let Some(value) = schema.get("const") {
        return quoted([value].into_iter());
    }
    let alternatives = alternatives(schema);
    if alternatives.len() > 1 {
        let kinds: Vec<String> = alternatives.iter().map(|inner| kind(root, inner)).collect();
        return kinds.join(", ");
    }
    let name = match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.collect::<Vec<_>>().join(" or ")
        }
        _ => "anything".to_owned(),
    };
    match name.as_str() {
        "array" => match schema.get("items") {
            Some(items) => format!("list of {}", kind(root, items)),
            None => "list".to_owned(),
        },
        "boolean" => "`true`, `false`".to_owned(),
        "object" => "table".to_owned(),
        "integer" => "number".to_owned(),
        "string" => "text".to_owned(),
        _ => name,
    }
}

fn quoted<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let values = values.filter_map(Value::as_str).map(|value| format!("`{value}`"));
    values.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::rows;

    #[test]
    fn nested_settings_have_dotted_names_and_words_for_types() {
        let schema = json!({
            "properties": {
                "build": { "$ref": "#/$defs/Build" },
                "registry": { "additionalProperties": { "$ref": "#/$defs/Registry" } },
            },
            "$defs": {
                "Build": { "properties": {
                    "progress": { "anyOf": [{ "$ref": "#/$defs/Mode" }, { "type": "null" }] },
                    "cache-from": { "type": "array", "items": { "type": "string" }, "description": "From\nhere." },
                } },
                "Mode": { "description": "How.", "oneOf": [{ "const": "tty" }, { "const": "plain" }] },
                "Registry": { "properties": { "insecure": { "type": ["boolean", "null"] } } },
            },
        });
        let expected = [
            "| `build.cache-from` | list of text | From here. |\n",
            "| `build.progress` | `tty`, `plain` | How. |\n",
            "| `registry.NAME.insecure` | `true`, `false` |  |\n",
        ];
        let mut found = rows(&schema);
        found.sort();
        assert_eq!(found, expected);
    }
}
