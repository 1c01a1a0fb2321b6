//! Cases that other builders test themselves with, kept outside of the repository: `--corpus DIR`.
//!
//! There is one reader for each format. A reader is strict: what it does not know makes its case broken. The tables of
//! parsers and patterns are read by the tests of the crates that they are about.

mod agreement;
mod build;
mod buildah;
mod buildkit;
mod case;
mod check;
mod context;
pub mod divergences;
mod facts;
mod fields;
mod imagebuilder;
mod kaniko;
mod names;
mod request;
pub(crate) mod run;
pub mod schema;
mod snapshot;
mod steps;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

pub use agreement::agreements;
pub use case::{CorpusCase, Images};
pub use names::NameMap;

use crate::case::{CaseResult, Failure};
use case::Around;
use fields::Fields;
use schema::Schemas;

/// Reads all cases of one corpus.
type Reader = fn(&Path, &Arc<Around>) -> CaseResult<Vec<CorpusCase>>;

const READERS: [(&str, Reader); 4] = [
    (buildah::NAME, buildah::read),
    (buildkit::NAME, buildkit::read),
    (imagebuilder::NAME, imagebuilder::read),
    (kaniko::NAME, kaniko::read),
];

/// Corpora that no engine is run through, and who reads them.
const TABLES: [(&str, &str); 6] = [
    ("buildkit-instructions", "the tests of `boxwright-dockerfile`"),
    ("buildkit-parser", "the tests of `boxwright-dockerfile`"),
    ("buildkit-shell", "the tests of `boxwright-dockerfile`"),
    (
        "oci-image-spec-schema",
        "the tests of `boxwright-conformance`, and every image here is held against it",
    ),
    ("patternmatcher", "the tests of `boxwright-context`"),
    ("real-dockerfiles", "the tests of `boxwright-dockerfile`"),
];

/// Returns whether there is a reader for the corpus `name`.
#[cfg(test)]
pub(crate) fn is_read(name: &str) -> bool {
    READERS.iter().any(|(known, _)| *known == name)
}

/// What is in a folder of corpora.
#[derive(Debug, Default)]
pub struct Corpora {
    /// The cases, by corpus.
    pub cases: Vec<CorpusCase>,
    /// What is not run here, and why.
    pub notes: Vec<String>,
    around: Option<Arc<Around>>,
}

impl Corpora {
    /// Reads `folder`: one corpus, or a folder of several. One that is not there has no cases, and a note says so.
    #[must_use]
    pub fn read(folder: &Path, names: NameMap) -> Self {
        let mut corpora = Self::default();
        if !folder.is_dir() {
            corpora.notes.push(format!("no corpus at {}; pass --corpus DIR", folder.display()));
            return corpora;
        }
        let own_name = |folder: &Path| {
            folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let is_known = |name: &str| {
            READERS.iter().any(|(known, _)| *known == name)
                || TABLES.iter().any(|(known, _)| *known == name)
        };
        let is_one = is_known(&own_name(folder));
        let parent = if is_one { folder.parent().unwrap_or(folder) } else { folder };
        let schemas = Schemas::read(&parent.join(schema::NAME));
        let around = |schemas| Arc::new(Around::new(names.clone(), schemas));
        let shared = match schemas {
            Ok(schemas) => around(schemas),
            Err(failure) => {
                let shared = around(None);
                corpora.add_broken(schema::NAME, failure, &shared);
                shared
            }
        };
        let folders = if is_one { Ok(vec![folder.to_owned()]) } else { folders_in(folder) };
        match folders {
            Ok(folders) => {
                for folder in folders {
                    corpora.add(&own_name(&folder), &folder, &shared);
                }
            }
            Err(failure) => corpora.add_broken("corpora", failure, &shared),
        }
        corpora.around = Some(shared);
        corpora
    }

    fn add(&mut self, name: &str, folder: &Path, around: &Arc<Around>) {
        if let Some((_, who)) = TABLES.iter().find(|(known, _)| *known == name) {
            self.notes.push(format!("{name} is read by {who}"));
            return;
        }
        // What is not about cases at all.
        if name == "LICENSES" {
            return;
        }
        let Some((_, read)) = READERS.iter().find(|(known, _)| *known == name) else {
            return self.add_broken(name, Failure::harness("no reader knows this corpus"), around);
        };
        match read(folder, around) {
            Ok(cases) => self.cases.extend(cases),
            Err(failure) => self.add_broken(name, failure, around),
        }
    }

    fn add_broken(&mut self, name: &str, failure: Failure, around: &Arc<Around>) {
        self.cases.push(CorpusCase::new(name, "index", Images::Scratch, Err(failure), around));
    }
}

fn folders_in(folder: &Path) -> CaseResult<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

/// An `index.json`: its cases with id and base images, and what else it says.
struct Index {
    cases: Vec<(String, Images, Fields)>,
    rest: Fields,
}

fn read_index(path: &Path) -> CaseResult<Index> {
    let mut index = Fields::of(read_json(path)?, path.display().to_string())?;
    for informative in ["source", "commit", "license"] {
        index.value(informative);
    }
    let count = index.optional_number("count")?;
    let mut cases = Vec::new();
    for value in index.list("cases")? {
        let mut fields = Fields::of(value, "a case")?;
        let id = fields.text("id")?;
        let images = match fields.optional_text("stand_in_class")?.as_deref() {
            None => Images::of_names(&fields.texts("base_images")?),
            Some("scratch") => Images::Scratch,
            Some("busybox") => Images::Busybox,
            Some("busybox+alpine" | "alpine") => Images::Alpine,
            Some("debian") => Images::Debian,
            Some(other) => {
                return Err(Failure::harness(format!("`{other}` of `{id}` is no class of images")));
            }
        };
        cases.push((id, images, fields));
    }
    if count.is_some_and(|count| count != cases.len() as u64) {
        return Err(Failure::harness(format!(
            "{count:?} cases are announced, {} found",
            cases.len()
        )));
    }
    Ok(Index { cases, rest: index })
}

fn read_json(path: &Path) -> CaseResult<Value> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::harness(format!("cannot read {}: {error}", path.display())))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::harness(format!("{} is no JSON: {error}", path.display())))
}

/// Returns whether a case expects to be built.
fn expect(fields: &mut Fields) -> CaseResult<bool> {
    match fields.text("expect")?.as_str() {
        "ok" => Ok(true),
        "fail" => Ok(false),
        other => Err(Failure::harness(format!("`{other}` is no outcome"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Runnable as _;

    #[test]
    fn a_folder_that_is_not_there_has_no_cases_and_says_so() {
        let corpora = Corpora::read(Path::new("/nowhere/at/all"), NameMap::default());
        assert!(corpora.cases.is_empty());
        assert_eq!(corpora.notes, ["no corpus at /nowhere/at/all; pass --corpus DIR"]);
    }

    #[test]
    fn an_unknown_corpus_and_an_unknown_field_are_broken() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("new-corpus")).unwrap();
        std::fs::create_dir(folder.path().join("kaniko")).unwrap();
        let index = r#"{"cases": [{"id": "a", "base_images": ["scratch"], "context": "c",
            "dockerfile": "c/Dockerfile", "dockerfile_content": "FROM scratch", "expect": "ok",
            "surprise": 1}], "count": 1}"#;
        std::fs::write(folder.path().join("kaniko/index.json"), index).unwrap();
        let corpora = Corpora::read(folder.path(), NameMap::default());
        let ids: Vec<&str> = corpora.cases.iter().map(CorpusCase::id).collect();
        assert_eq!(ids, ["kaniko/a", "new-corpus/index"]);
        for case in &corpora.cases {
            assert!(matches!(case.job(), case::Job::Broken(_)), "{case:?}");
        }
    }
}
