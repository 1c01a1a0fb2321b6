//! What differs between two images, as a container sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use boxwright_core::{Error, ErrorKind, Manifest, Result};
use serde::Serialize;
use serde_json::Value;

use crate::layout::Layout;
use crate::manifest::DOCUMENT_LIMIT;
use crate::view::{Node, NodeKind, Tree};

/// What of the config a container has: the rest is how the image came about.
const SEEN: [&str; 4] = ["architecture", "config", "os", "variant"];

/// One thing that two images have differently. What one of them lacks is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which: a path, or a field of the config such as `config.Env`.
    pub what: String,
    /// What the first image has.
    pub first: Option<String>,
    /// What the second image has.
    pub second: Option<String>,
}

impl Difference {
    /// Returns what the two images have, where `nothing` is what one of them lacks.
    #[must_use]
    pub fn sides(&self) -> (&str, &str) {
        let shown = |side| Option::as_deref(side).unwrap_or("nothing");
        (shown(&self.first), shown(&self.second))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.sides();
        write!(f, "{}: {first} against {second}", self.what)
    }
}

/// What a container sees of an image: what is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    config: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
}

impl Seen {
    /// Returns what is seen of an image of `layout`.
    ///
    /// # Errors
    ///
    /// As [`Tree::from_layers`].
    pub async fn of(layout: &Layout, manifest: &Manifest) -> Result<Self> {
        let config = layout.read(&manifest.config.digest, DOCUMENT_LIMIT).await?;
        Self::new(&config, &Tree::from_layers(layout, manifest).await?)
    }

    /// Returns what is seen of an image with these bytes as its config, and these files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] when the config is no JSON.
    pub fn new(config: &[u8], tree: &Tree) -> Result<Self> {
        Ok(Self { config: fields(config)?, files: files(tree) })
    }
}

/// All that two images have differently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Fields of the config, by name.
    pub config: Vec<Difference>,
    /// Files, folders and links, by path.
    pub files: Vec<Difference>,
}

impl Comparison {
    /// Compares two images of `layout`: what a container sees of their configs, and all of their files but the times.
    ///
    /// # Errors
    ///
    /// As [`Tree::from_layers`].
    pub async fn of(layout: &Layout, first: &Manifest, second: &Manifest) -> Result<Self> {
        Ok(Self::between(&Seen::of(layout, first).await?, &Seen::of(layout, second).await?))
    }

    /// Compares what was seen of two images.
    #[must_use]
    pub fn between(first: &Seen, second: &Seen) -> Self {
        let config = compare(&first.config, &second.config);
        Self { config, files: compare(&first.files, &second.files) }
    }

    /// Returns whether nothing differs.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.config.is_empty() && self.files.is_empty()
    }
}

fn compare(first: &BTreeMap<String, String>, second: &BTreeMap<String, String>) -> Vec<Difference> {
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let differ = names.into_iter().filter(|name| first.get(*name) != second.get(*name));
    differ
        .map(|name| Difference {
            what: name.clone(),
            first: first.get(name).cloned(),
            second: second.get(name).cloned(),
        })
        .collect()
}

/// Returns the fields that a container sees. One that is empty is as good as not there: builders differ in that.
fn fields(config: &[u8]) -> Result<BTreeMap<String, String>> {
    let value: Value = serde_json::from_slice(config).map_err(|error| {
        Error::new(ErrorKind::Protocol, "cannot read the image's config").with_source(error)
    })?;
    let mut fields = BTreeMap::new();
    for name in SEEN {
        match &value[name] {
            Value::Object(inner) => {
                fields.extend(inner.iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => {
                fields.insert(name.to_owned(), value);
            }
        }
    }
    fields.retain(|_, value| !is_empty(value));
    Ok(fields.into_iter().map(|(name, value)| (name, value.to_string())).collect())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) => false,
    }
}

fn files(tree: &Tree) -> BTreeMap<String, String> {
    tree.iter().map(|(path, node)| (format!("/{}", path.display()), describe(node))).collect()
}

fn describe(node: &Node) -> String {
    let what = match &node.kind {
        NodeKind::File { size, digest } => format!("file of {size} bytes, {}", digest.short()),
        NodeKind::Folder => "folder".to_owned(),
        NodeKind::Symlink { target } => format!("link to {}", target.display()),
        NodeKind::Fifo => "named pipe".to_owned(),
        NodeKind::CharacterDevice { major, minor } => format!("character device {major}:{minor}"),
        NodeKind::BlockDevice { major, minor } => format!("block device {major}:{minor}"),
    };
    let mut text = format!("{what}, {:04o}, {}:{}", node.mode, node.uid, node.gid);
    for (name, value) in &node.xattrs {
        text += &format!(", {name}={}", String::from_utf8_lossy(value));
    }
    text
}
