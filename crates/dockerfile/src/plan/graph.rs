//! Finds the stages, what each takes files from, and which of them the target needs.

use std::collections::{BTreeMap, BTreeSet};

use boxwright_core::{ImageRef, Platform};

use crate::diagnostic::{Diagnostic, Severity, Sink, Span};
use crate::expand::{Expander, Expansion};
use crate::file::{Dockerfile, StageText};
use crate::fragment::Word;
use crate::instruction::{Action, Instruction, read};
use crate::{nearest, parser};

use super::evaluate::Planned;
use super::step::{Source, Stage, StageId};
use super::{Options, Plan, PlannedStage};

/// Makes a plan. What is wrong goes to `sink`.
pub(super) fn build(
    file: &Dockerfile,
    options: Options,
    length: usize,
    sink: &mut Sink,
) -> Option<Plan> {
    let expander = Expander::new(file.escape).with_allowance(length.saturating_mul(4));
    let globals = globals(file, &options, &expander, sink);
    let names = Names::new(file, &options);
    let mut plan = Plan {
        escape: file.escape,
        length,
        target: target(file, &options, sink).unwrap_or(StageId(file.stages.len() - 1)),
        options,
        globals,
        stages: Vec::new(),
        needed: Vec::new(),
        features: BTreeSet::new(),
        warnings: Vec::new(),
    };
    for (number, text) in file.stages.iter().enumerate() {
        let stage = stage(StageId(number), text, &plan, &names, &expander, sink);
        plan.stages.push(stage);
        let replaced =
            text.from.name.as_ref().is_some_and(|name| plan.options.contexts.contains(&name.text));
        if replaced {
            continue;
        }
        if let Source::Stage(base) = plan.stages[number].stage.base {
            let triggers = own_triggers(&file.stages[base.0]);
            let cost = triggers.iter().map(|it| it.len()).sum();
            match expander.spend(cost) {
                Ok(()) => sources_of_triggers(&mut plan, StageId(number), &triggers, &names, sink),
                Err(error) => sink.push(Diagnostic::error(text.span, error.message)),
            }
        }
        for instruction in &text.instructions {
            let planned =
                Planned { instruction: instruction.clone(), triggered: false, sources: Vec::new() };
            add(&mut plan.stages[number], planned, &names, sink);
        }
    }
    mark_needed(&mut plan, sink);
    Some(plan)
}

/// Adds the triggers of an image.
pub(super) fn add_triggers(
    plan: &mut Plan,
    id: StageId,
    triggers: &[String],
) -> Result<(), Vec<Diagnostic>> {
    let mut sink = Sink::default();
    let names = Names::of_plan(plan);
    if let Some(stage) = plan.stages.get_mut(id.0) {
        let own = std::mem::take(&mut stage.instructions);
        let triggers: Vec<&str> = triggers.iter().map(String::as_str).collect();
        sources_of_triggers(plan, id, &triggers, &names, &mut sink);
        plan.stages[id.0].instructions.extend(own);
    }
    mark_needed(plan, &mut sink);
    if sink.has_errors() { Err(sink.into_vec()) } else { Ok(()) }
}

/// The values of `ARG` before the first `FROM`, and the arguments that are always there.
fn globals(
    file: &Dockerfile,
    options: &Options,
    expander: &Expander,
    sink: &mut Sink,
) -> BTreeMap<String, String> {
    let last =
        file.stages.last().and_then(|stage| stage.from.name.as_ref()).map(|name| name.text.clone());
    let target = options.target.clone().or(last).unwrap_or_else(|| "default".to_owned());
    let mut globals = BTreeMap::from([("TARGETSTAGE".to_owned(), target)]);
    for (prefix, platform) in [("BUILD", &options.build_platform), ("TARGET", &options.platform)] {
        let variant = platform.variant().unwrap_or_default().to_owned();
        globals.insert(format!("{prefix}PLATFORM"), platform.to_string());
        globals.insert(format!("{prefix}OS"), platform.os().to_owned());
        globals.insert(format!("{prefix}OSVERSION"), String::new());
        globals.insert(format!("{prefix}ARCH"), platform.architecture().to_owned());
        globals.insert(format!("{prefix}VARIANT"), variant);
    }
    for (name, value) in &mut globals {
        if let Some(given) = options.build_args.get(name) {
            value.clone_from(given);
        }
    }
    for argument in &file.arguments {
        let value = match (options.build_args.get(&argument.name.text), &argument.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => expanded(default, expander, &globals, sink).map(|it| it.text),
            (None, None) => None,
        };
        globals.extend(value.map(|value| (argument.name.text.clone(), value)));
    }
    globals
}

fn expanded(
    word: &Word,
    expander: &Expander,
    globals: &BTreeMap<String, String>,
    sink: &mut Sink,
) -> Option<Expansion> {
    let error = match expander.expand(&word.text, globals) {
        Ok(found) => return Some(found),
        Err(error) => error,
    };
    let problem = Diagnostic::error(word.span, error.message);
    sink.push(match error.remedy {
        Some(remedy) => problem.with_remedy(remedy),
        None => problem,
    });
    None
}

fn target(file: &Dockerfile, options: &Options, sink: &mut Sink) -> Option<StageId> {
    let wanted = options.target.as_deref().filter(|target| !target.is_empty())?;
    let names =
        file.stages.iter().map(|stage| stage.from.name.as_ref().map_or("", |it| it.text.as_str()));
    let names: Vec<&str> = names.collect();
    if let Some(number) = names.iter().rposition(|name| *name == wanted.to_lowercase()) {
        return Some(StageId(number));
    }
    let named: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    let span = file.stages.last().map(|stage| stage.span).unwrap_or_default();
    let problem = Diagnostic::error(span, format!("there is no stage `{wanted}`"));
    sink.push(problem.with_remedy(if named.is_empty() {
        format!("name one: FROM IMAGE AS {wanted}")
    } else {
        nearest::remedy(wanted, &named)
    }));
    None
}

/// What names mean.
struct Names {
    /// For each name, the stages that have it, in order.
    stages: BTreeMap<String, Vec<StageId>>,
    count: usize,
    contexts: BTreeMap<String, ImageRefKey>,
}

/// A context's name as an image, where it can be one.
type ImageRefKey = Option<ImageRef>;

impl Names {
    fn new(file: &Dockerfile, options: &Options) -> Self {
        let named =
            file.stages.iter().map(|stage| stage.from.name.as_ref().map(|it| it.text.as_str()));
        Self::of(named, options)
    }

    fn of_plan(plan: &Plan) -> Self {
        Self::of(plan.stages.iter().map(|it| it.stage.name.as_deref()), &plan.options)
    }

    fn of<'a>(named: impl Iterator<Item = Option<&'a str>>, options: &Options) -> Self {
        let mut names = Self { stages: BTreeMap::new(), count: 0, contexts: BTreeMap::new() };
        for (number, name) in named.enumerate() {
            names.count += 1;
            if let Some(name) = name {
                names.stages.entry(name.to_owned()).or_default().push(StageId(number));
            }
        }
        names.contexts =
            options.contexts.iter().map(|name| (name.clone(), name.parse().ok())).collect();
        names
    }

    /// What `FROM` means by a name: the stage above that has it, else an image.
    fn base(&self, name: &str, current: StageId) -> Result<Source, String> {
        let stages = self.stages.get(&name.to_lowercase()).map(Vec::as_slice).unwrap_or_default();
        match stages.iter().rfind(|stage| **stage < current) {
            Some(stage) => Ok(Source::Stage(*stage)),
            None => self.outside(name),
        }
    }

    fn outside(&self, name: &str) -> Result<Source, String> {
        if name == "scratch" {
            return Ok(Source::Scratch);
        }
        if self.contexts.contains_key(name) {
            return Ok(Source::NamedContext(name.to_owned()));
        }
        let image: ImageRef =
            name.parse().map_err(|error: boxwright_core::Error| error.to_string())?;
        let context = self.contexts.iter().find(|(_, other)| other.as_ref() == Some(&image));
        Ok(context.map_or_else(
            || Source::Image(name.to_owned()),
            |(name, _)| Source::NamedContext(name.clone()),
        ))
    }
}

fn stage(
    id: StageId,
    text: &StageText,
    plan: &Plan,
    names: &Names,
    expander: &Expander,
    sink: &mut Sink,
) -> PlannedStage {
    let from = &text.from;
    let name = from.name.as_ref().map(|it| it.text.clone());
    let replaced = name.as_ref().filter(|name| plan.options.contexts.contains(*name));
    let base = match (replaced, expanded(&from.image, expander, &plan.globals, sink)) {
        (Some(name), _) => Source::NamedContext(name.clone()),
        (None, None) => Source::Scratch,
        (None, Some(image)) => {
            base(from.image.span, &from.image.text, &image, id, names, plan, sink)
        }
    };
    let platform = from.platform.as_ref().and_then(|word| platform(word, plan, expander, sink));
    let sources = vec![base.clone()];
    let stage =
        Stage { id, name, base, platform, text: text.text.clone(), span: text.span, sources };
    PlannedStage { stage, instructions: Vec::new(), problems: Vec::new() }
}

fn base(
    span: Span,
    written: &str,
    image: &Expansion,
    id: StageId,
    names: &Names,
    plan: &Plan,
    sink: &mut Sink,
) -> Source {
    let unset = image.unmatched.first();
    let declare = |name: &String| {
        let known: Vec<&str> = plan.globals.keys().map(String::as_str).take(1000).collect();
        match nearest::nearest(name, &known) {
            Some(near) => format!("use `{near}`"),
            None => format!("declare it before the first `FROM`, with a default: ARG {name}=VALUE"),
        }
    };
    if image.text.is_empty() {
        let problem = Diagnostic::error(span, format!("the image `{written}` is empty"));
        sink.push(
            problem.with_remedy(
                unset.map_or_else(|| "write an image, or `scratch`".to_owned(), declare),
            ),
        );
        return Source::Scratch;
    }
    if let Some(name) = unset {
        let warning = Diagnostic::warning(span, format!("the variable `{name}` is not set"));
        sink.push(warning.with_remedy(declare(name)));
    }
    names.base(&image.text, id).unwrap_or_else(|message| {
        let remedy =
            "write it as HOST/REPOSITORY:TAG, such as `ghcr.io/acme/api:1.4`, or a stage above";
        sink.push(Diagnostic::error(span, message).with_remedy(remedy));
        Source::Scratch
    })
}

fn platform(word: &Word, plan: &Plan, expander: &Expander, sink: &mut Sink) -> Option<Platform> {
    let text = expanded(word, expander, &plan.globals, sink)?.text;
    match text.parse() {
        Ok(platform) => Some(platform),
        Err(_) => {
            let problem = Diagnostic::error(word.span, format!("`{text}` is no platform"));
            sink.push(problem.with_remedy("write it as OS/ARCHITECTURE, such as `linux/amd64`"));
            None
        }
    }
}

/// What a stage triggers in stages that start from it.
fn own_triggers(stage: &StageText) -> Vec<&str> {
    let triggers = stage.instructions.iter().filter_map(|it| match &it.action {
        Action::OnBuild(text) => Some(text.as_str()),
        _ => None,
    });
    triggers.collect()
}

fn sources_of_triggers(
    plan: &mut Plan,
    id: StageId,
    triggers: &[&str],
    names: &Names,
    sink: &mut Sink,
) {
    let stage = &mut plan.stages[id.0];
    let span = stage.stage.span;
    for trigger in triggers {
        let mut found = Sink::default();
        let tree = parser::parse(trigger);
        tree.diagnostics.into_iter().for_each(|problem| found.push(problem));
        let instruction = match tree.statements.as_slice() {
            [statement] => read(statement, &mut found),
            _ => None,
        };
        match instruction {
            Some(Instruction {
                action: Action::From(_) | Action::OnBuild(_) | Action::Maintainer(_),
                ..
            })
            | None => {
                let first = found.into_vec().into_iter().find(|it| it.severity == Severity::Error);
                let why = first.map_or_else(String::new, |it| format!(": {}", it.message));
                let line = trigger.lines().next().unwrap_or_default();
                let problem = Diagnostic::error(
                    span,
                    format!("the base triggers `{line}`, which cannot be run{why}"),
                );
                sink.push(problem.with_remedy(
                    "use another base, or build the base anew without that `ONBUILD`",
                ));
            }
            Some(instruction) => {
                let planned = Planned { instruction, triggered: true, sources: Vec::new() };
                add(stage, planned, names, sink);
            }
        }
    }
}

/// Adds an instruction to a stage, with the sources of its files.
fn add(stage: &mut PlannedStage, mut planned: Planned, names: &Names, sink: &mut Sink) {
    for wanted in wanted(&planned.instruction.action) {
        let span = if planned.triggered { stage.stage.span } else { wanted.span };
        let source = match &wanted.from {
            None => Ok(wanted.default),
            Some(from) if wanted.by_number && from.contains(['$', '\'', '"', '\\']) => {
                let remedy = "define a stage `FROM $IMAGE AS NAME`, and write `--from=NAME`";
                Err(Wrong::Always("`--from` cannot have variables".to_owned(), remedy.to_owned()))
            }
            Some(from) => {
                let number = from.parse().ok().filter(|_| wanted.by_number);
                source(from, number, stage.stage.id, names)
            }
        };
        let source = source.unwrap_or_else(|wrong| {
            match wrong {
                Wrong::Always(message, remedy) => {
                    sink.push(Diagnostic::error(span, message).with_remedy(remedy));
                }
                Wrong::IfNeeded(message, remedy) => {
                    stage.problems.push(Diagnostic::error(span, message).with_remedy(remedy));
                }
            }
            Source::Scratch
        });
        if source != Source::Context {
            stage.stage.sources.push(source.clone());
        }
        planned.sources.push(source);
    }
    stage.instructions.push(planned);
}

/// A place that an instruction takes files from.
struct Wanted {
    span: Span,
    from: Option<String>,
    /// What no `from` means.
    default: Source,
    /// Whether a number is a stage.
    by_number: bool,
}

fn wanted(action: &Action) -> Vec<Wanted> {
    match action {
        Action::Copy(copy) => {
            let from = copy.from.as_ref();
            let span = from.map(|it| it.span).unwrap_or_default();
            let from = from.map(|it| it.text.clone());
            vec![Wanted { span, from, default: Source::Context, by_number: true }]
        }
        Action::Run(run) => {
            let wanted = run.mounts.iter().map(|(word, options)| {
                let last = |key: &str| options.iter().rev().find(|it| it.key == key)?.value.clone();
                // Of the types, only a bind mount starts with the context.
                let is_bind = last("type").is_none_or(|kind| kind.eq_ignore_ascii_case("bind"));
                let default = if is_bind { Source::Context } else { Source::Scratch };
                let from = last("from").filter(|from| !from.is_empty());
                Wanted { span: word.span, from, default, by_number: false }
            });
            wanted.collect()
        }
        _ => Vec::new(),
    }
}

/// What is wrong with a source.
enum Wrong {
    Always(String, String),
    IfNeeded(String, String),
}

/// What `--from` means by a name: a stage of the whole file, by number or name, else an image.
fn source(
    name: &str,
    number: Option<i64>,
    current: StageId,
    names: &Names,
) -> Result<Source, Wrong> {
    let stage = match number {
        Some(number) => match usize::try_from(number).ok().filter(|number| *number < names.count) {
            Some(number) => Some(StageId(number)),
            None => {
                let message = format!("there is no stage {number}");
                return Err(Wrong::Always(
                    message,
                    format!("write a number below {}, or a name", current.0),
                ));
            }
        },
        None => names.stages.get(&name.to_lowercase()).and_then(|all| all.last()).copied(),
    };
    match stage {
        Some(stage) if stage < current => Ok(Source::Stage(stage)),
        Some(stage) if stage == current => {
            let message = format!("the stage takes files from itself, as `{name}`");
            Err(Wrong::Always(message, "split it into two stages".to_owned()))
        }
        Some(_) => {
            let message = format!("the stage `{name}` comes after this one");
            Err(Wrong::IfNeeded(message, format!("move the stage `{name}` above this one")))
        }
        None => names.outside(name).map_err(|message| {
            let named: Vec<&str> = names.stages.keys().map(String::as_str).take(1000).collect();
            let remedy = match nearest::nearest(name, &named) {
                Some(near) => format!("use `{near}`"),
                None => "write the name of a stage above, or an image".to_owned(),
            };
            Wrong::IfNeeded(message, remedy)
        }),
    }
}

/// Marks what the target needs. Stages only take from those above, so one walk up is enough.
fn mark_needed(plan: &mut Plan, sink: &mut Sink) {
    plan.needed = vec![false; plan.stages.len()];
    plan.needed[plan.target.0] = true;
    for number in (0..=plan.target.0).rev() {
        if !plan.needed[number] {
            continue;
        }
        for source in &plan.stages[number].stage.sources {
            if let Source::Stage(id) = source {
                plan.needed[id.0] = true;
            }
        }
        plan.stages[number].problems.iter().for_each(|problem| sink.push(problem.clone()));
    }
}
