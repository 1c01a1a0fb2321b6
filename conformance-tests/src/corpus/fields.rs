//! Reads JSON objects strictly: what a reader does not know is an error, so that a new kind of case is noticed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::case::{CaseResult, Failure};

/// An object that is being read. Every field is taken out; what is left in the end must be known as informative.
#[derive(Debug)]
pub(super) struct Fields {
    object: Map<String, Value>,
    /// What it is, for messages.
    what: String,
}

impl Fields {
    pub(super) fn of(value: Value, what: impl Into<String>) -> CaseResult<Self> {
        let what = what.into();
        match value {
            Value::Object(object) => Ok(Self { object, what }),
            other => Err(Failure::harness(format!("{what} is no object: {other}"))),
        }
    }

    /// Takes a field; one that is absent is `null`.
    pub(super) fn value(&mut self, name: &str) -> Value {
        self.object.remove(name).unwrap_or_default()
    }

    pub(super) fn text(&mut self, name: &str) -> CaseResult<String> {
        self.optional_text(name)?.ok_or_else(|| self.wrong(name, "a string"))
    }

    pub(super) fn optional_text(&mut self, name: &str) -> CaseResult<Option<String>> {
        match self.value(name) {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            _ => Err(self.wrong(name, "a string")),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> CaseResult<bool> {
        match self.value(name) {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(flag),
            _ => Err(self.wrong(name, "true or false")),
        }
    }

    pub(super) fn optional_number(&mut self, name: &str) -> CaseResult<Option<u64>> {
        match self.value(name) {
            Value::Null => Ok(None),
            Value::Number(number) => {
                number.as_u64().map(Some).ok_or_else(|| self.wrong(name, "a number"))
            }
            _ => Err(self.wrong(name, "a number")),
        }
    }

    pub(super) fn list(&mut self, name: &str) -> CaseResult<Vec<Value>> {
        match self.value(name) {
            Value::Null => Ok(Vec::new()),
            Value::Array(all) => Ok(all),
            _ => Err(self.wrong(name, "a list")),
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> CaseResult<Vec<String>> {
        let all = self.list(name)?.into_iter().map(|value| match value {
            Value::String(text) => Ok(text),
            _ => Err(self.wrong(name, "a list of strings")),
        });
        all.collect()
    }

    pub(super) fn map(&mut self, name: &str) -> CaseResult<BTreeMap<String, Value>> {
        match self.value(name) {
            Value::Null => Ok(BTreeMap::new()),
            Value::Object(object) => Ok(object.into_iter().collect()),
            _ => Err(self.wrong(name, "an object")),
        }
    }

    pub(super) fn text_map(&mut self, name: &str) -> CaseResult<BTreeMap<String, String>> {
        let all = self.map(name)?.into_iter().map(|(key, value)| match value {
            Value::String(text) => Ok((key, text)),
            _ => Err(self.wrong(name, "an object of strings")),
        });
        all.collect()
    }

    /// Ends the reading. `informative` are fields that no verdict depends on.
    pub(super) fn finish(self, informative: &[&str]) -> CaseResult {
        let mut left = self.object.keys().filter(|name| !informative.contains(&name.as_str()));
        match left.next() {
            None => Ok(()),
            Some(name) => {
                Err(Failure::harness(format!("{} has the unknown field `{name}`", self.what)))
            }
        }
    }

    fn wrong(&self, name: &str, wanted: &str) -> Failure {
        Failure::harness(format!("`{name}` of {} is not {wanted}", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unknown_field_is_noticed() {
        let read = |value: Value| -> CaseResult<String> {
            let mut fields = Fields::of(value, "a row")?;
            let name = fields.text("name")?;
            fields.finish(&["source"])?;
            Ok(name)
        };
        assert_eq!(read(json!({"name": "x", "source": 1})).unwrap(), "x");
        let message = read(json!({"name": "x", "new": 1})).unwrap_err().to_string();
        assert_eq!(message, "a row has the unknown field `new`");
        let message = read(json!({"name": 1})).unwrap_err().to_string();
        assert_eq!(message, "`name` of a row is not a string");
    }
}
