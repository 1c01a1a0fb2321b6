//! What a run came to, and the forms it is written in.

use std::collections::BTreeMap;

use boxwright_core::{Capability, Feature, Support};
use serde::{Deserialize, Serialize};

use crate::case::Runnable;
use crate::column::{Column, Missing};
use crate::native;
use crate::one_digest::{self, OneDigest};
use crate::runner::{Outcome, Run};

pub mod by_corpus;
pub mod html;
pub mod json;
pub mod junit;
pub mod terminal;

/// What a run came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The version of this form: 1.
    pub format: u32,
    /// The words that are in every name of the run.
    pub run: String,
    /// The words that are in every image of the columns whose digests are compared.
    #[serde(default)]
    pub words: String,
    /// How long it took.
    pub seconds: f64,
    /// The engines.
    pub columns: Vec<ColumnReport>,
    /// Engines that nothing could be run on.
    pub missing: Vec<MissingReport>,
    /// The cases.
    pub cases: Vec<CaseReport>,
    /// What each case came to on each engine, in the order of cases and columns.
    pub results: Vec<Outcome>,
    /// Whether portable builds have one digest.
    #[serde(default)]
    pub one_digest: OneDigest,
    /// What engines' own builders and the portable one made of the same cases.
    #[serde(default)]
    pub native: Vec<native::Pair>,
}

/// One engine, as it was opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ColumnReport {
    /// What it is called in the report.
    pub name: String,
    /// The engine's name.
    pub engine: String,
    /// The server's version.
    pub version: String,
    /// Where it was reached.
    pub endpoint: String,
    /// The way it builds.
    pub builder: String,
    /// Whether it runs as an ordinary user.
    pub rootless: Option<bool>,
    /// What it says of each capability.
    pub capabilities: BTreeMap<String, Declared>,
    /// What it says of each feature.
    pub features: BTreeMap<String, Declared>,
    /// How many cases came to each verdict.
    pub totals: BTreeMap<String, usize>,
}

/// What an engine says of a capability or a feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "support", rename_all = "kebab-case")]
pub enum Declared {
    /// It does it itself.
    Native,
    /// It is done on its behalf.
    Emulated {
        /// By what means.
        how: String,
    },
    /// It cannot be done.
    Unsupported {
        /// Why.
        reason: String,
        /// What the user can do.
        remedy: String,
    },
}

impl From<&Support> for Declared {
    fn from(support: &Support) -> Self {
        match *support {
            Support::Native => Self::Native,
            Support::Emulated { how } => Self::Emulated { how: how.to_owned() },
            Support::Unsupported { reason, remedy } => {
                Self::Unsupported { reason: reason.to_owned(), remedy: remedy.to_owned() }
            }
        }
    }
}

/// An engine that no case could be run on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MissingReport {
    /// The engine.
    pub engine: String,
    /// Where it was looked for.
    pub place: String,
    /// Why it cannot be used; `None` if there is nothing.
    pub reason: Option<String>,
    /// Whether the run had to have it.
    pub required: bool,
}

/// One case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseReport {
    /// Its id.
    pub id: String,
    /// Its promise.
    pub promise: String,
    /// What it is counted in: of a case of a corpus, the base images that it needs, and whether it has `RUN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Report {
    /// Puts a report together. `required` are the engines that must have had at least one
    /// column, or one with the builder behind a `/`.
    #[must_use]
    pub fn new<C: Runnable>(
        run: &Run<C>,
        results: Vec<Outcome>,
        missing: &[Missing],
        required: &[String],
        seconds: f64,
    ) -> Self {
        let columns: Vec<_> =
            run.columns.iter().map(|column| column_report(column, &results)).collect();
        // `docker` is there with any builder, `docker/portable` with that one.
        let is_there = |wanted: &str| {
            columns.iter().any(|column| match wanted.split_once('/') {
                Some((engine, builder)) => column.engine == engine && column.builder == builder,
                None => column.engine == wanted,
            })
        };
        let mut absent: Vec<MissingReport> = missing
            .iter()
            .map(|missing| MissingReport {
                engine: missing.engine.clone(),
                place: missing.place.clone(),
                reason: missing.error.as_ref().map(reason),
                required: required.contains(&missing.engine) && !is_there(&missing.engine),
            })
            .collect();
        for engine in required {
            let is_listed = absent.iter().any(|missing| &missing.engine == engine);
            if !is_there(engine) && !is_listed {
                let place = "the catalog".to_owned();
                let (engine, reason) = (engine.clone(), None);
                absent.push(MissingReport { engine, place, reason, required: true });
            }
        }
        let case = |case: &C| CaseReport {
            id: case.id().to_owned(),
            promise: case.promise(),
            groups: case.groups(),
        };
        let last = CaseReport {
            id: crate::tidy::LEFTOVERS.to_owned(),
            promise: crate::tidy::PROMISE.to_owned(),
            groups: Vec::new(),
        };
        let one_digest = OneDigest::of(
            &one_digest::names(&run.columns, &run.others),
            results.iter().chain(&run.others),
        );
        let judged = CaseReport {
            id: one_digest::ONE_DIGEST.to_owned(),
            promise: one_digest::PROMISE.to_owned(),
            groups: Vec::new(),
        };
        let judged = Some(judged).filter(|_| one_digest.columns.len() > 1);
        let cases = run.cases.iter().map(case).chain(judged).chain([last]).collect();
        let native = native::compare(&run.columns, &results);
        Self {
            format: 1,
            run: run.name.clone(),
            words: run.words.clone(),
            seconds,
            columns,
            missing: absent,
            cases,
            results,
            one_digest,
            native,
        }
    }

    /// Returns how many cases came to a verdict.
    #[must_use]
    pub fn count(&self, verdict: &str) -> usize {
        self.results.iter().filter(|result| result.verdict.name() == verdict).count()
    }

    /// Returns how much is wrong: promises broken, cases broken, and engines that had to be there.
    #[must_use]
    pub fn failures(&self) -> usize {
        let required = self.missing.iter().filter(|missing| missing.required);
        let required: std::collections::BTreeSet<_> = required.map(|m| &m.engine).collect();
        self.count("fail") + self.count("broken") + required.len()
    }

    /// Returns what a case came to on an engine.
    #[must_use]
    pub fn result(&self, case: &str, column: &str) -> Option<&Outcome> {
        self.results.iter().find(|result| result.case == case && result.column == column)
    }
}

fn reason(error: &boxwright_core::Error) -> String {
    let causes = error.causes().into_iter().map(|cause| format!(": {cause}"));
    format!("{error}{}", causes.collect::<String>())
}

fn column_report(column: &Column, results: &[Outcome]) -> ColumnReport {
    let info = column.engine.info();
    let capabilities = Capability::ALL.iter().map(|&capability| {
        let support = column.engine.capabilities().get(capability);
        (capability.to_string(), support.into())
    });
    let features = Feature::ALL.iter().map(|&feature| {
        let support = column.engine.native(feature);
        (feature.to_string(), (&support).into())
    });
    let mut totals: BTreeMap<String, usize> = BTreeMap::new();
    for result in results.iter().filter(|result| result.column == column.name) {
        *totals.entry(result.verdict.name().to_owned()).or_default() += 1;
    }
    ColumnReport {
        name: column.name.clone(),
        engine: info.name.to_string(),
        version: info.version.clone(),
        endpoint: info.endpoint.clone(),
        builder: info.builder.clone(),
        rootless: info.rootless,
        capabilities: capabilities.collect(),
        features: features.collect(),
        totals,
    }
}
