//! Values to a specification, with every problem at once.

use boxwright_core::nearest;
use serde_json::{Map, Value};

use crate::model::{Base, ImageSpec};
use crate::problem::Problem;

/// Fields that are tables of fields.
const TABLES: [&str; 2] = ["builder_options", "builder_config"];

/// Reads a specification. `within` is the path of fields that it is at, with a dot at its end.
pub(crate) fn spec(value: Value, within: &str, problems: &mut Vec<Problem>) -> ImageSpec {
    let fields = match value {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        _ => {
            problems.push(Problem::new(
                "a specification is a table of fields",
                "write it as `name: value`, one field a line",
            ));
            return ImageSpec::default();
        }
    };
    let known = known(None);
    let mut sound = Map::new();
    let mut base = None;
    for (name, value) in fields {
        let path = format!("{within}{name}");
        if !known.contains(&name) {
            problems.push(unknown(&path, &name, &known));
            continue;
        }
        let Some(value) = texts(value, &path, problems) else { continue };
        if name == "base_image" && value.is_object() {
            let inner = spec(value, &format!("{path}."), problems);
            base = Some(Base::Spec(Box::new(inner)));
            continue;
        }
        if TABLES.contains(&name.as_str())
            && let Value::Object(table) = &value
        {
            let known = self::known(Some(&name));
            let wrong: Vec<&String> = table.keys().filter(|key| !known.contains(key)).collect();
            problems.extend(wrong.iter().map(|key| unknown(&format!("{path}.{key}"), key, &known)));
            if !wrong.is_empty() {
                continue;
            }
        }
        let alone = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        match serde_json::from_value::<ImageSpec>(alone) {
            Ok(_) => _ = sound.insert(name, value),
            Err(error) => problems.push(wrong_kind(&path, &error)),
        }
    }
    // Each field alone could be read.
    let spec: ImageSpec = serde_json::from_value(Value::Object(sound)).unwrap_or_default();
    ImageSpec { base_image: base.or(spec.base_image), ..spec }
}

/// The names of the fields of a specification, or of one of its tables: as the schema has them.
fn known(table: Option<&str>) -> Vec<String> {
    let schema = crate::model::schema();
    let schema = schema.as_value();
    let fields = match table {
        None => &schema["properties"],
        Some("builder_options") => &schema["$defs"]["BuilderOptions"]["properties"],
        Some(_) => &schema["$defs"]["BuilderConfig"]["properties"],
    };
    fields.as_object().map(|it| it.keys().cloned().collect()).unwrap_or_default()
}

fn unknown(path: &str, name: &str, known: &[String]) -> Problem {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let dashes = name.replace('-', "_");
    let remedy = match known.iter().find(|it| **it == dashes).copied() {
        Some(it) => format!("use `{it}`"),
        None => match nearest(name, &known) {
            Some(it) => format!("use `{it}`"),
            None => format!("use one of `{}`", known.join("`, `")),
        },
    };
    Problem::new(format!("unknown field `{path}`"), remedy)
}

/// Makes texts of all scalars. A value that is not there is left out.
fn texts(value: Value, path: &str, problems: &mut Vec<Problem>) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Bool(it) => Some(it.to_string().into()),
        Value::Number(number) if number.is_f64() => {
            problems.push(Problem::new(
                format!("`{path}` is the number `{number}`"),
                "write it in quotes: as a number, 3.10 is 3.1",
            ));
            None
        }
        Value::Number(number) => Some(number.to_string().into()),
        Value::String(text) if text.contains('\0') => {
            let what = format!("`{path}` has a byte of value zero in it");
            problems.push(Problem::new(what, "take it out"));
            None
        }
        Value::String(_) => Some(value),
        Value::Array(items) => {
            let items = items.into_iter().enumerate();
            let read = items.filter_map(|(at, item)| {
                let path = format!("{path}[{at}]");
                if item.is_null() {
                    let remedy = "write it in quotes, or leave it out";
                    problems.push(Problem::new(format!("`{path}` is empty"), remedy));
                }
                texts(item, &path, problems)
            });
            Some(Value::Array(read.collect()))
        }
        Value::Object(fields) => {
            let mut read = Map::new();
            for (name, value) in fields {
                // A variable without a value is an empty one.
                let value =
                    if value.is_null() && path.ends_with("env") { "".into() } else { value };
                if let Some(value) = texts(value, &format!("{path}.{name}"), problems) {
                    read.insert(name, value);
                }
            }
            Some(Value::Object(read))
        }
    }
}

/// Says what a field must be, in the words of files and not of this program's types.
fn wrong_kind(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let expected = text.rsplit_once("expected ").map_or("another value", |(_, what)| what);
    let expected = match expected {
        "a sequence" => "a list, such as `[a, b]`",
        "a map" => "a table of names and values",
        "a string" | "string" => "a text",
        what if what.starts_with("struct ") => "a table of names and values",
        what if what.contains("tuple") => "a pair: a file and the path it has",
        what => what,
    };
    Problem::new(format!("`{path}` has a wrong value"), format!("write {expected}"))
}
