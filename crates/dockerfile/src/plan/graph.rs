//! Finds the stages, what each takes files from, and which of them the target needs.

use std::collections::BTreeSet;

use boxwright_core::Platform;

use crate::diagnostic::{Checks, Diagnostic, Rule, Severity, Sink, Span};
use crate::expand::{Expander, Expansion};
use crate::file::{Dockerfile, StageText};
use crate::fragment::Word;
use crate::instruction::{Action, Instruction, read};
use crate::{nearest, parser};

use super::evaluate::Planned;
use super::globals::{expanded, globals};
use super::names::{Names, Wrong, source};
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
        checks: Checks::default(),
        lacks_variables: file.lacks_variables,
    };
    for (number, text) in file.stages.iter().enumerate() {
        if sink.is_full() {
            sink.cut(text.span);
            return None;
        }
        let stage = stage(StageId(number), file, &plan, &names, &expander, sink);
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

fn stage(
    id: StageId,
    file: &Dockerfile,
    plan: &Plan,
    names: &Names,
    expander: &Expander,
    sink: &mut Sink,
) -> PlannedStage {
    let text = &file.stages[id.0];
    let from = &text.from;
    let name = from.name.as_ref().map(|it| it.text.clone());
    let replaced = name.as_ref().filter(|name| plan.options.contexts.contains(*name));
    let base = match (replaced, expanded(&from.image, expander, &plan.globals, file, sink)) {
        (Some(name), _) => Source::NamedContext(name.clone()),
        (None, None) => Source::Scratch,
        (None, Some(image)) => {
            base(from.image.span, &from.image.text, &image, id, names, plan, sink)
        }
    };
    let platform = from.platform.as_ref().filter(|word| !word.text.is_empty());
    let platform = platform.and_then(|word| self::platform(word, plan, file, expander, sink));
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
    let unset = image.missing.first();
    let full = sink.is_full_of_warnings();
    let declare = |name: &String| {
        // Looking for a near name takes time, and nobody reads the thousandth answer.
        let limit = if full { 0 } else { 200 };
        let known: Vec<&str> = plan.globals.keys().map(String::as_str).take(limit).collect();
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
        sink.push(warning.with_rule(Rule::UndefinedArgInFrom).with_remedy(declare(name)));
    }
    names.base(&image.text, id).unwrap_or_else(|message| {
        let remedy =
            "write it as HOST/REPOSITORY:TAG, such as `ghcr.io/acme/api:1.4`, or a stage above";
        sink.push(Diagnostic::error(span, message).with_remedy(remedy));
        Source::Scratch
    })
}

fn platform(
    word: &Word,
    plan: &Plan,
    file: &Dockerfile,
    expander: &Expander,
    sink: &mut Sink,
) -> Option<Platform> {
    let text = expanded(word, expander, &plan.globals, file, sink)?.text;
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
