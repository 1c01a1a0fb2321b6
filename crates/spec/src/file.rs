//! The file of a specification.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_core::{Error, ErrorKind, Host, Result};
use serde_json::Value;

use crate::model::{Base, ImageSpec};
use crate::problem::{self, Problem};
use crate::render::MOST_BASES;
use crate::{files, git, value, yaml};

/// No specification that people write is larger.
const LARGEST: u64 = 1024 * 1024;

/// A specification as read, with what is wrong about it.
#[derive(Clone, Debug)]
pub struct SpecFile {
    /// Its path as the user gave it.
    pub(crate) shown: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    pub(crate) spec: ImageSpec,
    pub(crate) problems: Vec<Problem>,
    pub(crate) ignored: Arc<Ignored>,
}

/// What git ignores.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    /// By folder, the paths in it.
    pub(crate) files: BTreeMap<PathBuf, BTreeSet<String>>,
    /// What git did not say.
    pub(crate) notes: Vec<String>,
}

impl SpecFile {
    /// Returns whether a path is that of a specification, by the end of its name.
    #[must_use]
    pub fn is_one(path: &str) -> bool {
        format_of(Path::new(path)).is_some()
    }

    /// Reads YAML, TOML or JSON. What is wrong with its fields is told by [`render`](crate::render), with all else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when it cannot be read or is none of the three.
    pub fn read(path: &str, host: &Host) -> Result<Self> {
        Self::read_at(path, host.absolute(Path::new(path)))
    }

    pub(crate) fn read_at(shown: &str, path: PathBuf) -> Result<Self> {
        let cannot = |cause: String| {
            Error::new(ErrorKind::InvalidInput, format!("cannot read `{shown}`")).with_cause(cause)
        };
        let Some(format) = format_of(&path) else {
            return Err(cannot("its name does not say what it is".into())
                .with_remedy("end the name with `.yaml`, `.yml`, `.toml` or `.json`"));
        };
        let size = std::fs::metadata(&path).map_err(|error| {
            cannot(error.to_string()).with_remedy("name the file of an image specification")
        })?;
        if size.len() > LARGEST {
            return Err(cannot(format!("it is larger than {LARGEST} bytes"))
                .with_remedy("name the file of an image specification"));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| {
            cannot(error.to_string()).with_remedy("name a text that this user may read")
        })?;
        let value = format.read(&text).map_err(|it| problem::error(shown, vec![it]))?;
        let mut problems = Vec::new();
        let spec = value::spec(value, "", &mut problems);
        Ok(Self { shown: shown.to_owned(), path, spec, problems, ignored: Arc::default() })
    }

    /// Asks `git` what it ignores in every `source_root`, also of the specifications that this one is built on: none of
    /// it is copied. Where `git` is missing or fails, [`Rendered::notes`](crate::Rendered::notes) say so.
    #[must_use]
    pub async fn without_what_git_ignores(mut self, host: &Host) -> Self {
        let mut roots = Vec::new();
        sources(&self.spec, self.folder(), 0, &mut roots);
        let mut ignored = Ignored::default();
        for root in roots {
            match git::ignored(host, &root).await {
                Ok(files) => _ = ignored.files.insert(root, files),
                Err(note) => ignored.notes.push(note),
            }
        }
        self.ignored = Arc::new(ignored);
        self
    }

    /// Returns its fields.
    #[must_use]
    pub fn spec(&self) -> &ImageSpec {
        &self.spec
    }

    /// The folder that its paths are relative to.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

/// The folders whose files are copied, here and below. What is wrong with one is told when it is rendered.
fn sources(spec: &ImageSpec, folder: &Path, depth: usize, roots: &mut Vec<PathBuf>) {
    let root =
        spec.source_root.as_ref().and_then(|it| files::inside(folder, "source_root", it).ok());
    roots.extend(root);
    match &spec.base_image {
        Some(Base::Spec(inner)) => sources(inner, folder, depth + 1, roots),
        Some(Base::Name(name)) if SpecFile::is_one(name) && depth < MOST_BASES => {
            if let Ok(base) = SpecFile::read_at(name, folder.join(name)) {
                sources(&base.spec, base.folder(), depth + 1, roots);
            }
        }
        _ => {}
    }
}

#[derive(Clone, Copy)]
enum Format {
    Yaml,
    Toml,
    Json,
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "yaml" | "yml" => Some(Format::Yaml),
        "toml" => Some(Format::Toml),
        "json" => Some(Format::Json),
        _ => None,
    }
}

impl Format {
    fn read(self, text: &str) -> Result<Value, Problem> {
        let remedy = "correct it; `boxwright spec schema` says what there may be";
        match self {
            Self::Yaml => yaml::read(text),
            Self::Json => serde_json::from_str(text)
                .map_err(|error| Problem::new(format!("this is no JSON: {error}"), remedy)),
            Self::Toml => toml::from_str::<toml::Table>(text)
                .map_err(|error| {
                    let words = error.message().to_owned();
                    let line = error.span().map_or(1, |it| text[..it.start].lines().count().max(1));
                    Problem::new(format!("line {line}: this is no TOML: {words}"), remedy)
                })
                .and_then(|table| {
                    serde_json::to_value(table).map_err(|error| {
                        Problem::new(format!("this cannot be read: {error}"), remedy)
                    })
                }),
        }
    }
}
