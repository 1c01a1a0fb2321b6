//! Every value in effect by its dotted name, for `boxwright config`.

use std::collections::BTreeMap;

use boxwright_core::Origin;
use serde::Serialize;
use serde_json::Value;

/// One value in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Its dotted name, e.g. `engine.use`.
    pub name: String,
    /// The value.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// The values by name; a later one replaces an earlier one.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(BTreeMap<String, Effective>);

impl Table {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Effective> {
        self.0.values()
    }

    pub(super) fn set(&mut self, name: &str, value: Value, origin: &str) {
        let name = name.to_owned();
        let value = Effective { name: name.clone(), value, origin: origin.to_owned() };
        self.0.insert(name, value);
    }

    /// Takes all that a file says. Lists are one value.
    pub(super) fn set_all(&mut self, prefix: &str, table: &toml::Table, origin: &str) {
        for (key, value) in table {
            let name = join(prefix, key);
            match value {
                toml::Value::Table(table) => self.set_all(&name, table, origin),
                // A date has no JSON form of its own; no setting is one.
                other => {
                    let value = serde_json::to_value(other).unwrap_or(Value::Null);
                    self.set(&name, value, origin);
                }
            }
        }
    }
}

/// A registry's host has dots in it and is quoted, as in the file.
fn join(prefix: &str, key: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let key = if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        toml::Value::from(key).to_string()
    };
    if prefix.is_empty() { key } else { format!("{prefix}.{key}") }
}
