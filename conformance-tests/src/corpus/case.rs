//! One case of a corpus.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use boxwright_core::{Capability, Feature};
use boxwright_dockerfile::Dockerfile;
use boxwright_dockerfile::instruction::Action;

use super::build::Build;
use super::names::NameMap;
use super::schema::Schemas;
use super::snapshot::Snapshot;
use super::steps::Steps;
use crate::case::{CaseFuture, Failure, Runnable};
use crate::cx::Cx;

/// What base images a case needs. A later one includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Images {
    /// None.
    Scratch,
    /// Busybox.
    Busybox,
    /// Busybox with what looks like Alpine.
    Alpine,
    /// Debian, or what is made from it.
    Debian,
}

impl Images {
    /// Returns what the names of base images come to.
    pub(super) fn of_names<'n>(names: impl IntoIterator<Item = &'n String>) -> Self {
        let of = |name: &String| {
            let has = |word: &str| name.contains(word);
            match () {
                () if has("debian") || has("ubuntu") || has("centos") => Self::Debian,
                () if has("alpine") => Self::Alpine,
                () if name == "scratch" => Self::Scratch,
                () => Self::Busybox,
            }
        };
        names.into_iter().map(of).max().unwrap_or(Self::Scratch)
    }
}

impl fmt::Display for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scratch => "scratch",
            Self::Busybox => "busybox",
            Self::Alpine => "alpine",
            Self::Debian => "debian",
        })
    }
}

/// What all cases of a run share.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) names: NameMap,
    pub(super) schemas: Option<Schemas>,
    /// When the run began, in seconds since 1970.
    pub(super) begin: i64,
    /// What cases made, by case and column.
    made: Mutex<BTreeMap<(String, String), Snapshot>>,
}

impl Around {
    pub(super) fn new(names: NameMap, schemas: Option<Schemas>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let begin = i64::try_from(since.as_secs()).unwrap_or_default();
        Self { names, schemas, begin, made: Mutex::default() }
    }

    pub(super) fn keep(&self, case: &str, column: &str, snapshot: Snapshot) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert((case.to_owned(), column.to_owned()), snapshot);
    }

    pub(super) fn take(&self) -> BTreeMap<(String, String), Snapshot> {
        std::mem::take(&mut self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One case of a corpus. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CorpusCase(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    images: Images,
    runs: bool,
    features: Vec<Feature>,
    job: Job,
    around: Arc<Around>,
}

/// What a case does.
#[derive(Debug)]
pub(super) enum Job {
    /// Builds once.
    Build(Box<Build>),
    /// Builds several times with one cache, and looks at what comes out.
    Steps(Steps),
    /// Nothing: it cannot be read.
    Broken(String),
}

impl CorpusCase {
    /// Returns a case of `corpus`. One that could not be read is broken, wherever it runs.
    pub(super) fn new(
        corpus: &str,
        name: &str,
        images: Images,
        read: Result<Job, Failure>,
        around: &Arc<Around>,
    ) -> Self {
        let job = read.unwrap_or_else(|failure| Job::Broken(failure.to_string()));
        let texts: Vec<&str> = match &job {
            Job::Build(build) => vec![&build.text],
            Job::Steps(steps) => steps.texts().collect(),
            Job::Broken(_) => Vec::new(),
        };
        let mut features: Vec<Feature> = texts
            .iter()
            .filter_map(|text| boxwright_dockerfile::features::of(text).ok())
            .flatten()
            .collect();
        features.sort_unstable();
        features.dedup();
        Self(Arc::new(Inner {
            id: format!("{corpus}/{name}"),
            images,
            runs: texts.iter().any(|text| has_run(text)),
            features,
            job,
            around: around.clone(),
        }))
    }

    /// Returns what base images it needs.
    #[must_use]
    pub fn images(&self) -> Images {
        self.0.images
    }

    /// Says why it cannot be read, if it cannot.
    #[must_use]
    pub fn broken(&self) -> Option<String> {
        match &self.0.job {
            Job::Broken(why) => Some(why.clone()),
            Job::Build(_) | Job::Steps(_) => None,
        }
    }

    pub(super) fn around(&self) -> &Around {
        &self.0.around
    }

    pub(super) fn job(&self) -> &Job {
        &self.0.job
    }
}

/// Returns whether a Dockerfile has `RUN`, also in a trigger.
fn has_run(text: &str) -> bool {
    let Ok(file) = Dockerfile::parse(text) else { return false };
    file.stages.iter().flat_map(|stage| &stage.instructions).any(|instruction| {
        match &instruction.action {
            Action::Run(_) => true,
            Action::OnBuild(trigger) => trigger.trim_start().to_uppercase().starts_with("RUN"),
            _ => false,
        }
    })
}

impl Runnable for CorpusCase {
    fn id(&self) -> &str {
        &self.0.id
    }

    fn promise(&self) -> String {
        "it comes out as its authors expect".to_owned()
    }

    fn slug(&self) -> String {
        let words = self.0.id.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        // The last are what tells cases apart, and a name has a limit.
        let name = words.join("-").to_ascii_lowercase();
        format!("corpus/{}", &name[name.len().saturating_sub(60)..].trim_matches('-'))
    }

    fn needs(&self) -> &[Capability] {
        match self.0.runs {
            true => &[Capability::Build, Capability::BuildRun, Capability::Export],
            false => &[Capability::Build, Capability::Export],
        }
    }

    fn features(&self) -> &[Feature] {
        &self.0.features
    }

    fn proves_features(&self) -> bool {
        // A feature is what a whole file needs: one case does not show that all of it works.
        false
    }

    fn is_exclusive(&self) -> bool {
        false
    }

    fn groups(&self) -> Vec<String> {
        let run = if self.0.runs { "run" } else { "no run" };
        vec![self.0.images.to_string(), run.to_owned()]
    }

    fn start(&self, cx: Cx) -> CaseFuture {
        let this = self.clone();
        Box::pin(async move {
            let Inner { id, job, around, .. } = &*this.0;
            match job {
                Job::Build(build) => build.run(&cx, id, around).await,
                Job::Steps(steps) => steps.run(&cx, around).await,
                Job::Broken(why) => Err(Failure::harness(why.clone())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_biggest_image_counts() {
        let of = |names: &[&str]| {
            Images::of_names(&names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of(&[]), Images::Scratch);
        assert_eq!(of(&["scratch", "busybox:1.31"]), Images::Busybox);
        assert_eq!(of(&["mirror.gcr.io/alpine", "busybox"]), Images::Alpine);
        assert_eq!(of(&["quay.io/libpod/centos:7", "alpine"]), Images::Debian);
        assert_eq!(of(&["busy$x"]), Images::Busybox);
    }

    #[test]
    fn a_run_in_a_trigger_is_one() {
        assert!(has_run("FROM scratch\nONBUILD run true\n"));
        assert!(!has_run("FROM scratch\nCOPY RUN /\n"));
    }
}
