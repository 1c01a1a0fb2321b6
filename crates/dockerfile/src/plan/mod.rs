//! What is to be built: the stages that the target needs, as a graph, and the steps of each.
//!
//! A plan is made in two parts, since what an instruction means depends on its base image. [`Plan::new`] finds the
//! stages, and everything that is wrong whatever the bases are. When the config of a stage's base is known,
//! [`Plan::add_triggers`] adds what its `ONBUILD` brings, and [`Plan::evaluate`] gives its steps.

mod check;
mod evaluate;
mod files;
mod globals;
mod graph;
mod history;
mod names;
mod scope;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use boxwright_core::{Feature, Platform};

use crate::diagnostic::{Checks, Diagnostic, Severity, Sink, Span, wrong_checks};
use crate::directive;
use crate::expand::Expander;
use crate::features;
use crate::file::Dockerfile;
use crate::instruction;

pub use evaluate::Evaluated;
pub use step::{
    Action, Base, CopyItem, CopyStep, Health, Mode, RunStep, Script, Source, Stage, StageId, Step,
    StepMount,
};

use evaluate::{Evaluator, Knowledge, Planned, Surroundings};

/// Names of build arguments that set a proxy. They reach every process without being declared.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// The build argument that says which build checks are skipped.
const CHECKS: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What a plan is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The stage to build. Default: the last one.
    pub target: Option<String>,
    /// Values for `ARG`.
    pub build_args: BTreeMap<String, String>,
    /// The platform of the image.
    pub platform: Platform,
    /// The platform that builds.
    pub build_platform: Platform,
    /// The names of further contexts.
    pub contexts: BTreeSet<String>,
}

impl Default for Options {
    fn default() -> Self {
        let here = Platform::of_this_machine();
        Self {
            target: None,
            build_args: BTreeMap::new(),
            platform: here.clone(),
            build_platform: here,
            contexts: BTreeSet::new(),
        }
    }
}

/// The stages that a target needs.
///
/// ```
/// use boxwright_dockerfile::plan::{Action, Base, Options, Plan};
///
/// let text = "FROM scratch AS unused\nFROM scratch\nENV name=api\nCOPY . /srv/$name/\n";
/// let plan = Plan::new(text, Options::default()).expect("it is right");
/// let needed: Vec<_> = plan.needed().map(|stage| stage.id).collect();
/// assert_eq!(needed, [plan.target()]);
///
/// let stage = plan.evaluate(plan.target(), &Base::scratch()).expect("it is right");
/// let Action::Copy(copy) = &stage.steps[1].action else { panic!("not a copy") };
/// assert_eq!(copy.destination, "/srv/api");
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    escape: char,
    length: usize,
    options: Options,
    globals: BTreeMap<String, String>,
    stages: Vec<PlannedStage>,
    needed: Vec<bool>,
    target: StageId,
    features: BTreeSet<Feature>,
    warnings: Vec<Diagnostic>,
    checks: Checks,
    lacks_variables: bool,
}

/// A stage with its instructions.
#[derive(Clone, Debug)]
struct PlannedStage {
    stage: Stage,
    instructions: Vec<Planned>,
    /// What is wrong if the stage is needed.
    problems: Vec<Diagnostic>,
}

/// What evaluating without base images shows.
#[derive(Debug, Default)]
struct Shown {
    features: BTreeSet<Feature>,
    /// What is wrong with stages that are not needed.
    elsewhere: Vec<Diagnostic>,
}

impl Plan {
    /// Reads a Dockerfile and finds what its target needs.
    ///
    /// # Errors
    ///
    /// Every problem of the file that does not depend on a base image, in the order of the file, warnings among them. A
    /// warning is an error where `# check=` or the build argument `BUILDKIT_DOCKERFILE_CHECK` says so. What is wrong with a
    /// stage that the target does not need refuses no file, so that is a warning in a file that is right otherwise.
    pub fn new(text: &str, options: Options) -> Result<Self, Vec<Diagnostic>> {
        let checks = checks(text, &options);
        let mut sink = Sink::with(checks.as_ref().unwrap_or(&Checks::default()));
        let checks = checks.map_err(|problem| sink.push(problem)).unwrap_or_default();
        let Some(file) = Dockerfile::read(text, &mut sink) else { return Err(sink.into_vec()) };
        // What follows from something broken is not a problem of its own.
        let mut found = Sink::with(&checks);
        let mut elsewhere = Vec::new();
        let plan = graph::build(&file, options, text.len(), &mut found);
        let plan = plan.map(|mut plan| {
            plan.features = features::of_file(&file, text);
            plan.checks = checks.clone();
            let shown = plan.check(&mut found);
            plan.features.extend(shown.features);
            elsewhere = shown.elsewhere;
            plan
        });
        let file_is_broken = sink.has_errors();
        let is_refused = file_is_broken || found.has_errors();
        for problem in elsewhere {
            found.push(match is_refused {
                true => problem,
                false => Diagnostic {
                    severity: Severity::Warning,
                    message: format!("{}, in a stage that is not built", problem.message),
                    ..problem
                },
            });
        }
        let found = found.into_vec().into_iter();
        found
            .filter(|it| !file_is_broken || it.severity == Severity::Error)
            .for_each(|it| sink.push(it));
        let mut problems = sink.into_vec();
        checks.judge(&mut problems);
        match plan.filter(|_| !has_errors(&problems)) {
            Some(plan) => Ok(Self { warnings: problems, ..plan }),
            None => Err(problems),
        }
    }

    /// Returns the stage to build.
    #[must_use]
    pub fn target(&self) -> StageId {
        self.target
    }

    /// Returns a stage, needed or not.
    #[must_use]
    pub fn stage(&self, id: StageId) -> Option<&Stage> {
        self.stages.get(id.0).map(|it| &it.stage)
    }

    /// Returns the stages that the target needs, each after those that it needs itself.
    pub fn needed(&self) -> impl Iterator<Item = &Stage> {
        self.stages.iter().zip(&self.needed).filter(|(_, needed)| **needed).map(|(it, _)| &it.stage)
    }

    /// Returns the platform of a stage: that of the stage that it starts from, else what its `FROM` asks for, else that
    /// of the image.
    #[must_use]
    pub fn platform_of<'p>(&'p self, stage: &'p Stage) -> &'p Platform {
        match &stage.base {
            // A stage starts from an earlier one, so this ends.
            Source::Stage(id) => {
                self.stage(*id).map_or(&self.options.platform, |base| self.platform_of(base))
            }
            _ => stage.platform.as_ref().unwrap_or(&self.options.platform),
        }
    }

    /// Returns the first command of a stage as it is written, if its own instructions run one. What a base triggers is
    /// among them once it was added.
    #[must_use]
    pub fn first_command(&self, id: StageId) -> Option<&str> {
        let stage = self.stages.get(id.0)?;
        let mut instructions = stage.instructions.iter().map(|planned| &planned.instruction);
        let run = instructions.find(|it| matches!(it.action, instruction::Action::Run(_)))?;
        Some(&run.text)
    }

    /// Returns what the file needs of a builder: all of it, since other builders read stages that are not needed too.
    #[must_use]
    pub fn features(&self) -> &BTreeSet<Feature> {
        &self.features
    }

    /// Returns what seems wrong, but can be built. What only shows with a base is in [`Evaluated::warnings`].
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Returns the build arguments that no `ARG` of a needed stage takes. Proxies and platforms need none.
    #[must_use]
    pub fn unused_build_args(&self) -> Vec<&str> {
        let needed = self.stages.iter().zip(&self.needed).filter(|(_, needed)| **needed);
        let mut declared: BTreeSet<&str> = self.globals.keys().map(String::as_str).collect();
        for (stage, _) in needed {
            for planned in &stage.instructions {
                if let instruction::Action::Arg(arguments) = &planned.instruction.action {
                    declared.extend(arguments.iter().map(|it| it.name.text.as_str()));
                }
            }
        }
        let names = self.options.build_args.keys().map(String::as_str);
        let is_special = |name: &str| {
            is_proxy(name) || name == "SOURCE_DATE_EPOCH" || name.starts_with("BUILDKIT_")
        };
        names.filter(|name| !declared.contains(name) && !is_special(name)).collect()
    }

    /// Returns the proxies among the build arguments. They are variables of every process, and recorded nowhere.
    #[must_use]
    pub fn proxies(&self) -> BTreeMap<String, String> {
        let all = self.options.build_args.iter().filter(|(name, _)| is_proxy(name));
        all.flat_map(|(name, value)| {
            [(name.to_uppercase(), value.clone()), (name.to_lowercase(), value.clone())]
        })
        .collect()
    }

    /// Adds the triggers that the image below a stage has in its config, before the stage's own instructions. Afterwards
    /// [`Plan::needed`] may have more stages, and [`Stage::sources`] more images.
    ///
    /// # Errors
    ///
    /// A trigger that cannot be read, or takes files from where there are none.
    pub fn add_triggers(
        &mut self,
        id: StageId,
        triggers: &[String],
    ) -> Result<(), Vec<Diagnostic>> {
        graph::add_triggers(self, id, triggers)
    }

    /// Evaluates the instructions of a stage, which starts with what `base` has.
    ///
    /// # Errors
    ///
    /// Every problem of the stage's instructions with this base.
    pub fn evaluate(&self, id: StageId, base: &Base) -> Result<Evaluated, Vec<Diagnostic>> {
        let mut evaluated = self.evaluate_with(&self.expander(), id, base, Knowledge::Complete)?;
        evaluated.warnings.retain(|warning| !self.warnings.contains(warning));
        self.checks.judge(&mut evaluated.warnings);
        if has_errors(&evaluated.warnings) { Err(evaluated.warnings) } else { Ok(evaluated) }
    }

    fn expander(&self) -> Expander {
        Expander::new(self.escape).with_allowance(self.length.saturating_mul(4))
    }

    fn evaluate_with(
        &self,
        expander: &Expander,
        id: StageId,
        base: &Base,
        knowledge: Knowledge,
    ) -> Result<Evaluated, Vec<Diagnostic>> {
        let Some(planned) = self.stages.get(id.0) else {
            let problem = Diagnostic::error(
                crate::diagnostic::Span::default(),
                format!("there is no stage {}", id.0),
            );
            return Err(vec![problem]);
        };
        let around = Surroundings {
            expander,
            build_args: &self.options.build_args,
            globals: &self.globals,
            checks: &self.checks,
        };
        Evaluator::new(around, base, knowledge, planned.stage.span)
            .map_err(|problem| vec![problem])?
            .run(base, &planned.instructions)
    }

    /// Evaluates the stages as far as that goes without base images, those that are needed first. Their problems go to
    /// `sink`.
    fn check(&self, sink: &mut Sink) -> Shown {
        let mut expander = self.expander();
        let mut shown = Shown::default();
        let mut results: BTreeMap<StageId, (Base, Knowledge)> = BTreeMap::new();
        let others = self.stages.iter().filter(|it| !self.needed[it.stage.id.0]);
        let mut others = others.map(|it| &it.stage).peekable();
        let first_other = others.peek().map(|it| it.id);
        for stage in self.needed().chain(others) {
            if first_other == Some(stage.id) {
                // What these expand to is no reason to refuse the others.
                expander = self.expander();
            }
            let is_needed = self.needed[stage.id.0];
            if !is_needed {
                shown.elsewhere.extend(self.stages[stage.id.0].problems.iter().cloned());
            }
            if sink.is_full() {
                sink.cut(stage.span);
                break;
            }
            let known = match &stage.base {
                Source::Stage(id) => results.get(id).cloned(),
                Source::Scratch if !self.lacks_variables => {
                    Some((Base::scratch(), Knowledge::Complete))
                }
                _ => None,
            };
            let (base, knowledge) = known.unwrap_or_else(|| (Base::scratch(), Knowledge::Partial));
            match self.evaluate_with(&expander, stage.id, &base, knowledge) {
                Ok(evaluated) => {
                    results.insert(stage.id, (evaluated.result, knowledge));
                    if is_needed {
                        let steps = evaluated.steps.iter();
                        steps.for_each(|step| features::of_step(step, &mut shown.features));
                        evaluated.warnings.into_iter().for_each(|warning| sink.push(warning));
                    }
                }
                Err(problems) if is_needed => problems.into_iter().for_each(|it| sink.push(it)),
                Err(problems) => {
                    let errors = problems.into_iter().filter(|it| it.severity == Severity::Error);
                    shown.elsewhere.extend(errors);
                }
            }
        }
        shown
    }
}

fn has_errors(problems: &[Diagnostic]) -> bool {
    problems.iter().any(|it| it.severity == Severity::Error)
}

/// What is said of the build checks. As in BuildKit, the build argument stands in for all of the directive.
fn checks(text: &str, options: &Options) -> Result<Checks, Diagnostic> {
    let Some(given) = options.build_args.get(CHECKS) else { return directive::checks(text) };
    Checks::parse(given).map_err(|(message, remedy)| {
        let message = format!("the build argument `{CHECKS}`: {message}");
        wrong_checks(Span::default(), (message, remedy))
    })
}

fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}
