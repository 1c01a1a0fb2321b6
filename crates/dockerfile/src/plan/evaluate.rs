//! Evaluates the instructions of a stage into steps.

use std::collections::BTreeMap;

use crate::diagnostic::{Checks, Diagnostic, Rule, Sink, Span};
use crate::expand::{ExpandError, Expander, Expansion, Quotes};
use crate::fragment::Word;
use crate::git::without_credentials;
use crate::instruction::{Action as Written, Argument, Command, Healthcheck, Instruction};
use crate::nearest;
use crate::parser::Pair;
use crate::path;

use super::check;
use super::scope::Scope;
use super::step::{Action, Base, Health, Source, Step};

/// The shell of an image that sets none.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// An instruction of a stage, with the places that its files come from.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) instruction: Instruction,
    pub(super) triggered: bool,
    /// For a copy, its source; for a run, the source of each mount.
    pub(super) sources: Vec<Source>,
}

/// A stage with all variables expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What a stage that starts from this one starts with.
    pub result: Base,
    /// What seems wrong, but can be built.
    pub warnings: Vec<Diagnostic>,
    pub(super) start: BTreeMap<String, String>,
    pub(super) assignments: Vec<(String, String)>,
}

impl Evaluated {
    /// Returns the whole environment that a process of this stage starts with, build arguments included.
    #[must_use]
    pub fn environment(&self, run: &super::RunStep) -> BTreeMap<String, String> {
        let mut environment = self.start.clone();
        environment.extend(self.assignments.iter().take(run.assigned).cloned());
        environment
    }
}

/// What is known of the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// Everything.
    Complete,
    /// Its variables are not: a variable that is not set here may be set there.
    Partial,
}

/// What is the same for all stages.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) expander: &'a Expander,
    pub(super) build_args: &'a BTreeMap<String, String>,
    pub(super) globals: &'a BTreeMap<String, String>,
    pub(super) checks: &'a Checks,
}

/// The state of a stage while its instructions are evaluated.
pub(super) struct Evaluator<'a> {
    around: Surroundings<'a>,
    documents: Expander,
    knowledge: Knowledge,
    pub(super) scope: Scope,
    pub(super) working_directory: String,
    /// Whether the working directory is known: an unknown base has one that is not.
    pub(super) knows_working_directory: bool,
    pub(super) user: String,
    shell: Vec<String>,
    has_cmd: bool,
    from: Span,
    triggered: bool,
    pub(super) sink: Sink,
}

impl<'a> Evaluator<'a> {
    /// # Errors
    ///
    /// All stages together inherit too much.
    pub(super) fn new(
        around: Surroundings<'a>,
        base: &Base,
        knowledge: Knowledge,
        from: Span,
    ) -> Result<Self, Diagnostic> {
        around.expander.spend(base.size()).map_err(|error| problem(from, error))?;
        Ok(Self {
            around,
            documents: Expander::new('\\').with_quotes(Quotes::Ignore),
            knowledge,
            scope: Scope::new(base),
            working_directory: workdir(&base.working_directory, &base.working_directory),
            knows_working_directory: knowledge == Knowledge::Complete,
            user: base.user.clone(),
            shell: base.shell.clone(),
            has_cmd: false,
            from,
            triggered: false,
            sink: Sink::with(around.checks),
        })
    }

    /// Evaluates all of a stage.
    ///
    /// # Errors
    ///
    /// Every problem of the stage.
    pub(super) fn run(
        mut self,
        base: &Base,
        instructions: &[Planned],
    ) -> Result<Evaluated, Vec<Diagnostic>> {
        let mut steps = Vec::new();
        for planned in instructions {
            let Instruction { action, text, span } = &planned.instruction;
            self.triggered = planned.triggered;
            if self.sink.is_full() {
                break;
            }
            if let Some(action) = self.action(action, &planned.sources, *span) {
                let span = self.place(*span);
                let text = without_credentials(text);
                steps.push(Step { action, text, span, triggered: planned.triggered });
            }
        }
        if self.sink.has_errors() {
            return Err(self.sink.into_vec());
        }
        let rest = Base {
            working_directory: self.working_directory,
            user: self.user,
            shell: self.shell,
            ..Base::default()
        };
        let (result, assignments) = self.scope.finish(rest);
        let warnings = self.sink.into_vec();
        Ok(Evaluated { steps, result, warnings, start: base.values.clone(), assignments })
    }

    /// Evaluates one instruction. `None` if it has a problem, or cannot be known before the base is.
    fn action(&mut self, action: &Written, sources: &[Source], span: Span) -> Option<Action> {
        Some(match action {
            // A stage has one `FROM`, which is not among its instructions.
            Written::From(_) => return None,
            Written::Run(run) => Action::Run(Box::new(self.run_step(run, sources, span)?)),
            Written::Copy(copy) => {
                let source = sources.first().cloned().unwrap_or(Source::Context);
                Action::Copy(Box::new(self.copy_step(copy, source, span)?))
            }
            Written::Arg(arguments) => Action::Arg(self.declare(arguments)),
            Written::Env(pairs) => {
                let pairs = self.pairs(pairs)?;
                pairs.iter().for_each(|(name, value)| self.scope.set_env(name, value));
                Action::Env(pairs)
            }
            Written::Label(pairs) => Action::Label(self.pairs(pairs)?),
            Written::Cmd(command) => {
                self.has_cmd = true;
                Action::Cmd(self.arguments(command))
            }
            Written::Entrypoint(command) => {
                Action::Entrypoint { arguments: self.arguments(command), clears_cmd: !self.has_cmd }
            }
            Written::Expose(words) => Action::Expose(self.ports(words)?),
            Written::Healthcheck(check) => Action::Healthcheck(health(check)),
            Written::Maintainer(name) => Action::Author(name.clone()),
            Written::OnBuild(text) => Action::OnBuild(text.clone()),
            Written::Shell(words) => {
                self.shell.clone_from(words);
                Action::Shell(words.clone())
            }
            Written::StopSignal(word) => {
                let signal = self.word(word)?;
                self.checked(
                    word.span,
                    check::signal(&signal),
                    "use a name such as `SIGTERM`, or a number",
                )?;
                Action::StopSignal(signal)
            }
            Written::User(word) => {
                let user = self.word(word)?;
                self.checked(
                    word.span,
                    check::user(&user),
                    "use a name or an id that exists in the image",
                )?;
                self.user.clone_from(&user);
                Action::User(user)
            }
            Written::Volume(words) => Action::Volume(self.volumes(words)?),
            Written::Workdir(word) => {
                let Some(folder) = self.word(word) else {
                    self.knows_working_directory = false;
                    return None;
                };
                self.knows_working_directory |= folder.starts_with('/');
                self.working_directory = workdir(&self.working_directory, &folder);
                Action::WorkingDirectory {
                    path: self.working_directory.clone(),
                    user: self.user.clone(),
                }
            }
        })
    }

    /// Where a problem is shown. What the base triggers is not in this file.
    pub(super) fn place(&self, span: Span) -> Span {
        if self.triggered { self.from } else { span }
    }

    pub(super) fn problem(&mut self, span: Span, message: impl Into<String>, remedy: &str) {
        let span = self.place(span);
        self.sink.push(Diagnostic::error(span, message).with_remedy(remedy));
    }

    /// Reports what is wrong with a value.
    pub(super) fn checked<T>(
        &mut self,
        span: Span,
        value: Result<T, String>,
        remedy: &str,
    ) -> Option<T> {
        value.map_err(|message| self.problem(span, message, remedy)).ok()
    }

    pub(super) fn word(&mut self, word: &Word) -> Option<String> {
        self.text(&word.text, word.span)
    }

    pub(super) fn text(&mut self, text: &str, span: Span) -> Option<String> {
        let found = self.around.expander.expand(text, &self.scope);
        self.expansion(found, span).map(|it| it.text)
    }

    /// Expands a here-document, where quotes mean nothing.
    pub(super) fn document(&mut self, text: &str, span: Span) -> Option<String> {
        // A document may be as large as the file, whatever was expanded before.
        self.documents = Expander::new('\\').with_quotes(Quotes::Ignore).with_allowance(text.len());
        let found = self.documents.expand(text, &self.scope);
        let expansion = self.expansion(found, span)?;
        let cost = expansion.text.len().saturating_sub(text.len());
        match self.around.expander.spend(cost) {
            Ok(()) => Some(expansion.text),
            Err(error) => {
                self.sink.push(problem(self.place(span), error));
                None
            }
        }
    }

    fn expansion(
        &mut self,
        found: Result<Expansion, ExpandError>,
        span: Span,
    ) -> Option<Expansion> {
        match found {
            Ok(found) => {
                if self.knowledge == Knowledge::Partial && !found.unmatched.is_empty() {
                    return None;
                }
                for name in found.missing.iter().filter(|name| !self.scope.is_declared(name)) {
                    let warning = Diagnostic::warning(
                        self.place(span),
                        format!("the variable `{name}` is not set"),
                    )
                    .with_rule(Rule::UndefinedVar);
                    // Looking for a near name takes time, and nobody reads the thousandth answer.
                    let known: Vec<&str> = if self.sink.is_full_of_warnings() {
                        Vec::new()
                    } else {
                        self.scope.names().take(200).collect()
                    };
                    self.sink.push(match nearest::nearest(name, &known) {
                        Some(near) => warning.with_remedy(format!("use `{near}`")),
                        None => warning.with_remedy(format!("declare it: ARG {name}")),
                    });
                }
                Some(found)
            }
            Err(error) if self.knowledge == Knowledge::Partial && error.is_about_unset() => None,
            Err(error) => {
                self.sink.push(problem(self.place(span), error));
                None
            }
        }
    }

    fn pairs(&mut self, pairs: &[Pair]) -> Option<Vec<(String, String)>> {
        let expanded: Vec<_> =
            pairs.iter().map(|pair| (self.word(&pair.key), self.word(&pair.value))).collect();
        let mut all = Vec::new();
        for ((key, value), pair) in expanded.into_iter().zip(pairs) {
            let key = key?;
            if key.is_empty() {
                self.problem(pair.key.span, "the name is empty", "write a name before the `=`");
            }
            all.push((key, value?));
        }
        Some(all)
    }

    fn declare(&mut self, arguments: &[Argument]) -> Vec<(String, Option<String>)> {
        let mut all = Vec::new();
        for argument in arguments {
            let name = argument.name.text.as_str();
            let value = match (self.around.build_args.get(name), &argument.default) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => self.word(default),
                (None, None) => self.around.globals.get(name).cloned(),
            };
            self.scope.declare(name, value.as_deref());
            all.push((name.to_owned(), value));
        }
        all
    }

    fn volumes(&mut self, words: &[Word]) -> Option<Vec<String>> {
        let mut all = Vec::new();
        for word in words {
            let volume = self.word(word)?;
            if volume.is_empty() {
                self.problem(word.span, "the path of a volume is empty", "write an absolute path");
            }
            all.push(volume);
        }
        Some(all)
    }

    fn ports(&mut self, words: &[Word]) -> Option<Vec<String>> {
        let mut all = Vec::new();
        let mut complete = true;
        for word in words {
            let found = self.around.expander.expand(&word.text, &self.scope);
            let Some(found) = self.expansion(found, word.span) else {
                complete = false;
                continue;
            };
            for text in found.words {
                let remedy = "write `80`, `53/udp` or `8000-8010`";
                let Some((first, last, protocol)) =
                    self.checked(word.span, check::ports(&text), remedy)
                else {
                    complete = false;
                    continue;
                };
                if let Err(error) = self.around.expander.spend(16 * usize::from(last - first)) {
                    self.sink.push(problem(self.place(word.span), error));
                    return None;
                }
                all.extend((first..=last).map(|port| format!("{port}/{protocol}")));
            }
        }
        complete.then_some(all)
    }

    /// A command as a process: the shell form is given to the shell.
    pub(super) fn arguments(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(words) => words.clone(),
            Command::Shell(text) => self.in_shell(text.clone()),
        }
    }

    pub(super) fn in_shell(&self, text: String) -> Vec<String> {
        let mut arguments = self.shell.clone();
        if arguments.is_empty() {
            arguments.extend(DEFAULT_SHELL.map(str::to_owned));
        }
        arguments.push(text);
        arguments
    }
}

fn problem(span: Span, error: ExpandError) -> Diagnostic {
    let problem = Diagnostic::error(span, error.message);
    match error.remedy {
        Some(remedy) => problem.with_remedy(remedy),
        None => problem,
    }
}

/// The working directory after `WORKDIR folder`. As in BuildKit, an absolute path stays as it is written.
fn workdir(current: &str, folder: &str) -> String {
    match (folder.starts_with('/'), folder.is_empty()) {
        (true, _) => folder.to_owned(),
        (false, true) if current.starts_with('/') => current.to_owned(),
        _ => path::absolute(current, folder),
    }
}

fn health(check: &Healthcheck) -> Health {
    let none = Health {
        test: vec!["NONE".to_owned()],
        interval: 0,
        timeout: 0,
        start_period: 0,
        start_interval: 0,
        retries: 0,
    };
    let Healthcheck::Probe(probe) = check else { return none };
    let test = match &probe.command {
        Command::Exec(words) => [vec!["CMD".to_owned()], words.clone()].concat(),
        Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
    };
    Health {
        test,
        interval: probe.interval,
        timeout: probe.timeout,
        start_period: probe.start_period,
        start_interval: probe.start_interval,
        retries: probe.retries,
    }
}
