//! Every case on every engine, in parallel.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boxwright_core::{Capability, Host, Support};
use boxwright_image::compare::Seen;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;

use crate::case::{Case, CaseResult, Failure, Runnable};
use crate::column::Column;
use crate::cx::Cx;
use crate::made::Made;
use crate::tidy::Tidy;
use crate::verdict::Verdict;
use crate::{divergence, evidence, native, one_digest};

/// How long a case may take, unless a run says otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// How long a case whose time is up may take to end by itself, unless a run says otherwise.
const GRACE: Duration = Duration::from_secs(30);

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Run<C = Case> {
    /// Words that no other run has: they are part of every name that a case uses.
    pub name: String,
    /// The words that images have in every column that is compared: the name, or the words of another run whose digests
    /// are compared too.
    pub words: String,
    /// The cases.
    pub cases: Vec<C>,
    /// The engines.
    pub columns: Vec<Column>,
    /// How many cases run at once.
    pub parallel: usize,
    /// How long a case may take.
    pub limit: Duration,
    /// How long a case whose time is up may take to end by itself.
    pub grace: Duration,
    /// Where evidence of what did not pass is kept.
    pub evidence: Option<PathBuf>,
    /// What portable columns of other runs made of the cases, to compare digests with.
    pub others: Vec<Outcome>,
}

impl<C: Runnable> Run<C> {
    /// Returns a run of `cases` on `columns`, eight at once.
    #[must_use]
    pub fn new(cases: Vec<C>, columns: Vec<Column>) -> Self {
        let name = format!("run-{:x}-{:x}", std::process::id(), nanoseconds());
        let (evidence, others) = (None, Vec::new());
        let words = name.clone();
        Self {
            name,
            words,
            cases,
            columns,
            parallel: 8,
            limit: LIMIT,
            grace: GRACE,
            evidence,
            others,
        }
    }

    /// Runs every case on every engine, and reports each to `progress` as it ends. The outcomes are in the
    /// order of the cases, and of the engines for each; last come whether portable builds have one digest, and whether
    /// all that was made is gone.
    pub async fn run(&self, host: &Host, mut progress: impl FnMut(&Outcome)) -> Vec<Outcome> {
        let mut gates: BTreeMap<&str, Arc<RwLock<()>>> = BTreeMap::new();
        let columns = self.columns.iter().map(|column| {
            let gate = gates.entry(&column.engine.info().endpoint).or_default().clone();
            Tidy::before(column, gate, host)
        });
        let tidies = join_all(columns).await;
        let mut jobs = Vec::new();
        for case in &self.cases {
            for tidy in &tidies {
                let number = jobs.len();
                jobs.push((number, case, tidy));
            }
        }
        // A stable sort: those that wait for everything else come last.
        jobs.sort_by_key(|(_, case, _)| case.is_exclusive());
        let jobs = jobs.into_iter().map(|(number, case, tidy)| async move {
            (number, self.gated(case, tidy, host).await)
        });
        let mut outcomes = Vec::new();
        let mut ended = stream::iter(jobs).buffer_unordered(self.parallel.max(1));
        while let Some((number, outcome)) = ended.next().await {
            progress(&outcome);
            outcomes.push((number, outcome));
        }
        drop(ended);
        outcomes.sort_by_key(|(number, _)| *number);
        let mut outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        for outcome in one_digest::judge(&self.columns, &outcomes, &self.others).await {
            progress(&outcome);
            outcomes.push(outcome);
        }
        for outcome in join_all(tidies.iter().map(|tidy| tidy.after(host, &self.name))).await {
            progress(&outcome);
            outcomes.push(outcome);
        }
        outcomes
    }

    async fn gated(&self, case: &C, tidy: &Tidy<'_>, host: &Host) -> Outcome {
        if case.is_exclusive() {
            let _alone = tidy.gate.write().await;
            self.one(case, tidy, host).await
        } else {
            let _among_others = tidy.gate.read().await;
            self.one(case, tidy, host).await
        }
    }

    async fn one(&self, case: &C, tidy: &Tidy<'_>, host: &Host) -> Outcome {
        let column = tidy.column;
        let start = Instant::now();
        let outcome = |verdict| Outcome::since(start, case.id(), column, verdict);
        let capabilities = column.engine.capabilities();
        for &need in case.needs() {
            if let Support::Unsupported { reason, remedy } = capabilities.get(need) {
                let (reason, remedy) = (format!("`{need}`: {reason}"), (*remedy).to_owned());
                return outcome(Verdict::Unsupported { reason, remedy });
            }
        }
        let cx = match Cx::new(column, host, self, case) {
            Ok(cx) => cx,
            Err(failure) => return outcome(Verdict::Broken { reason: failure.to_string() }),
        };
        tidy.keep(&cx);
        let result = self.judged(case, &cx).await.and_then(|()| needs_are_told(case, &cx));
        let found = match &result {
            Ok(()) => Verdict::Pass,
            Err(Failure::Harness(reason)) => Verdict::Broken { reason: reason.clone() },
            Err(Failure::Refused { reason, remedy }) => {
                Verdict::Unsupported { reason: reason.clone(), remedy: remedy.clone() }
            }
            Err(failure) => Verdict::Fail { reason: failure.to_string() },
        };
        let mut outcome = outcome(with_declarations(case, column, found));
        outcome.note = cx.noted();
        outcome.builds = cx.builds();
        let pairs = native::pairs(&self.columns);
        if pairs.iter().any(|(one, other)| [&one.name, &other.name].contains(&&column.name)) {
            // What cannot be read is not compared: the verdict says what is wrong.
            outcome.seen = native::seen(&cx).await.unwrap_or_default();
        }
        if outcome.verdict.is_failure()
            && let Some(folder) = &self.evidence
        {
            let folder = folder.join(file_name(&column.name)).join(case.id());
            outcome.evidence = match evidence::write(&cx, &folder, &outcome.verdict).await {
                Ok(()) => Some(folder),
                // The verdict counts for more than what would explain it.
                Err(_) => None,
            };
        }
        cx.close();
        outcome
    }

    /// Runs the case and gives its result, however it ends.
    async fn judged(&self, case: &C, cx: &Cx) -> CaseResult {
        let mut task = tokio::spawn(case.start(cx.clone()));
        if let Ok(ended) = tokio::time::timeout(self.limit, &mut task).await {
            return ended.unwrap_or_else(|panic| Err(panicked(panic)));
        }
        cx.cancel().cancel();
        if tokio::time::timeout(self.grace, &mut task).await.is_err() {
            task.abort();
        }
        let seconds = self.limit.as_secs();
        Err(Failure::promise(format!("the case did not end within {seconds} seconds")))
    }
}

/// Fails unless a case of the suite that runs steps says that it needs [`Capability::BuildRun`], and one that says so
/// does. A probe needs nothing; what a case of a corpus needs is read off its files.
fn needs_are_told(case: &impl Runnable, cx: &Cx) -> CaseResult {
    let need = Capability::BuildRun;
    let needs = case.needs();
    match (cx.had_steps(), needs.contains(&need)) {
        _ if !case.proves_features() => Ok(()),
        (true, false) if !needs.is_empty() => Err(Failure::harness(format!(
            "the case runs steps and does not say that it needs `{need}`"
        ))),
        (false, true) => {
            Err(Failure::harness(format!("the case says that it needs `{need}` and runs no step")))
        }
        _ => Ok(()),
    }
}

/// Weighs what was found against what the engine declares and what is known of it.
fn with_declarations(case: &impl Runnable, column: &Column, found: Verdict) -> Verdict {
    let refused = case.features().iter().find_map(|&feature| match column.engine.native(feature) {
        Support::Unsupported { reason, remedy } => Some((feature, reason, remedy)),
        Support::Native | Support::Emulated { .. } => None,
    });
    match (refused, found) {
        (_, Verdict::Broken { reason }) => Verdict::Broken { reason },
        (Some(_), Verdict::Pass) if !case.proves_features() => Verdict::Pass,
        (Some((feature, reason, _)), Verdict::Pass) => Verdict::Fail {
            reason: format!("`{feature}` is declared unsupported ({reason}), and works"),
        },
        (Some((feature, reason, remedy)), _) => Verdict::Unsupported {
            reason: format!("`{feature}`: {reason}"),
            remedy: remedy.to_owned(),
        },
        (None, found) => known(case.id(), column, found),
    }
}

/// Weighs what was found against the differences that are known.
pub(crate) fn known(case: &str, column: &Column, found: Verdict) -> Verdict {
    match (divergence::find(case, column), found) {
        (Some(known), Verdict::Pass) => Verdict::Fail {
            reason: format!(
                "it passes, and is listed as a divergence: {} ({})",
                known.reason, known.link
            ),
        },
        (Some(known), Verdict::Fail { reason: found }) => Verdict::Diverges {
            reason: known.reason.to_owned(),
            link: known.link.to_owned(),
            found,
        },
        (_, found) => found,
    }
}

fn panicked(error: tokio::task::JoinError) -> Failure {
    let words = match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default(),
        Err(error) => error.to_string(),
    };
    Failure::promise(format!("the case panicked: {words}"))
}

fn nanoseconds() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.subsec_nanos())
}

/// Returns a column's name as the name of a file.
pub(crate) fn file_name(column: &str) -> String {
    column.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// What one case on one engine came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The case.
    pub case: String,
    /// The engine.
    pub column: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
    /// Where the evidence is, if it did not pass and there is some.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<PathBuf>,
    /// What the case noted, such as a digest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
    /// What its builds made, in their order. `None`: one made nothing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub builds: Vec<Option<Made>>,
    /// What was seen of its images, by the number of the build, where another column is compared with this one.
    #[serde(skip)]
    pub seen: BTreeMap<usize, Seen>,
}

impl Outcome {
    /// Returns what `case` came to on `column`, at once and without anything to show.
    pub(crate) fn new(
        case: impl Into<String>,
        column: impl Into<String>,
        verdict: Verdict,
    ) -> Self {
        Self {
            case: case.into(),
            column: column.into(),
            verdict,
            seconds: 0.0,
            evidence: None,
            note: None,
            builds: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Returns what `case` came to on `column` in the time since `start`.
    pub(crate) fn since(start: Instant, case: &str, column: &Column, verdict: Verdict) -> Self {
        let seconds = start.elapsed().as_secs_f64();
        Self { seconds, ..Self::new(case, column.name.as_str(), verdict) }
    }

    /// Returns where the evidence is, as seen from `folder`.
    #[must_use]
    pub fn evidence_in(&self, folder: &Path) -> Option<PathBuf> {
        let evidence = self.evidence.as_ref()?;
        Some(evidence.strip_prefix(folder).unwrap_or(evidence).to_owned())
    }
}
