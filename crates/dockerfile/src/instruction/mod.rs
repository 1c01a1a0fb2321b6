//! Instructions: what a statement means, one type for each.
//!
//! Variables are not expanded yet, since their values depend on where in a stage the instruction is.

mod command;
mod copy;
mod duration;
mod flags;
mod from;
mod mount;
mod run;
mod values;

use crate::diagnostic::{Diagnostic, Rule, Severity, Sink, Span};
use crate::fragment::Word;
use crate::nearest;
use crate::parser::{Arguments, INSTRUCTIONS, Pair, Statement};

use flags::Flags;

pub use command::Command;
pub use copy::{Copy, Kind};
pub use from::From;
pub(crate) use mount::evaluate as evaluate_mount;
pub use mount::{Mount, MountKind, MountOption, Owner};
pub use run::{Device, Run, Security};
pub use values::Argument;

/// An instruction and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub action: Action,
    /// The instruction on one line, as it is written.
    pub text: String,
    /// Where it is.
    pub span: Span,
}

/// What an instruction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `FROM`
    From(From),
    /// `RUN`
    Run(Run),
    /// `COPY` and `ADD`
    Copy(Box<Copy>),
    /// `ARG`
    Arg(Vec<Argument>),
    /// `ENV`
    Env(Vec<Pair>),
    /// `LABEL`
    Label(Vec<Pair>),
    /// `CMD`
    Cmd(Command),
    /// `ENTRYPOINT`
    Entrypoint(Command),
    /// `EXPOSE`
    Expose(Vec<Word>),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `MAINTAINER`
    Maintainer(String),
    /// `ONBUILD`
    OnBuild(String),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    StopSignal(Word),
    /// `USER`
    User(Word),
    /// `VOLUME`
    Volume(Vec<Word>),
    /// `WORKDIR`
    Workdir(Word),
}

/// `HEALTHCHECK`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// `NONE`: a check of the base image is taken off.
    Disabled,
    /// `CMD`
    Probe(Probe),
}

/// A health check. Times are nanoseconds, and 0 is the engine's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is run.
    pub command: Command,
    /// `--interval`
    pub interval: u64,
    /// `--timeout`
    pub timeout: u64,
    /// `--start-period`
    pub start_period: u64,
    /// `--start-interval`
    pub start_interval: u64,
    /// `--retries`
    pub retries: u32,
}

/// Reads a statement. What is wrong goes to `sink`, and then there is no instruction.
pub(crate) fn read(statement: &Statement, sink: &mut Sink) -> Option<Instruction> {
    let mut found = Sink::default();
    let action = action(statement, &mut found);
    let failed = found.has_errors();
    found.into_vec().into_iter().for_each(|problem| sink.push(problem));
    let action = action.filter(|_| !failed)?;
    Some(Instruction { action, text: statement.text.trim().to_owned(), span: statement.span })
}

fn action(statement: &Statement, sink: &mut Sink) -> Option<Action> {
    Some(match statement.name().as_str() {
        "ADD" => Action::Copy(Box::new(copy::read(statement, Kind::Add, sink)?)),
        "ARG" => Action::Arg(values::arguments(statement, sink)?),
        "CMD" => Action::Cmd(command::default(statement, sink)),
        "COPY" => Action::Copy(Box::new(copy::read(statement, Kind::Copy, sink)?)),
        "ENTRYPOINT" => Action::Entrypoint(command::default(statement, sink)),
        "ENV" => Action::Env(values::pairs(statement, sink)?),
        "EXPOSE" => Action::Expose(values::list(statement, sink)?),
        "FROM" => Action::From(from::read(statement, sink)?),
        "HEALTHCHECK" => Action::Healthcheck(command::healthcheck(statement, sink)?),
        "LABEL" => Action::Label(values::pairs(statement, sink)?),
        "MAINTAINER" => {
            let remedy = "write `LABEL org.opencontainers.image.authors=NAME`";
            let warning = Diagnostic::warning(statement.keyword.span, "`MAINTAINER` is deprecated");
            sink.push(warning.with_rule(Rule::MaintainerDeprecated).with_remedy(remedy));
            Action::Maintainer(values::one(statement, sink)?.text)
        }
        "ONBUILD" => Action::OnBuild(on_build(statement, sink)?),
        "RUN" => Action::Run(run::read(statement, sink)?),
        "SHELL" => Action::Shell(command::shell(statement, sink)?),
        "STOPSIGNAL" => {
            let word = values::one_text(statement, sink)?;
            Flags::ignored(statement, sink);
            Action::StopSignal(word)
        }
        "USER" => Action::User(values::one(statement, sink)?),
        "VOLUME" => Action::Volume(values::volumes(statement, sink)?),
        "WORKDIR" => Action::Workdir(values::one(statement, sink)?),
        other => {
            sink.push(unknown(statement, other));
            return None;
        }
    })
}

fn unknown(statement: &Statement, name: &str) -> Diagnostic {
    let span = statement.keyword.span;
    if name.is_empty() {
        return Diagnostic::error(statement.span, "there is no instruction on this line")
            .with_remedy("remove the escape character");
    }
    let problem =
        Diagnostic::error(span, format!("unknown instruction `{}`", statement.keyword.text));
    match nearest::nearest(name, &INSTRUCTIONS) {
        Some(near) => problem.with_remedy(format!("use `{near}`")),
        None => problem.with_remedy(format!(
            "begin the line with an instruction: {}",
            nearest::list(&INSTRUCTIONS)
        )),
    }
}

/// The instruction is kept as text and read when it is triggered, perhaps by another builder: what seems wrong with it
/// is a warning here.
fn on_build(statement: &Statement, sink: &mut Sink) -> Option<String> {
    Flags::none(statement, sink);
    let Arguments::Statement(inner) = &statement.arguments else {
        let problem = Diagnostic::error(statement.span, "`ONBUILD` needs at least one argument");
        sink.push(
            problem.with_remedy("write an instruction after it, such as `ONBUILD COPY . /app`"),
        );
        return None;
    };
    let name = inner.name();
    if matches!(name.as_str(), "ONBUILD" | "FROM" | "MAINTAINER") {
        let message = format!("`{name}` cannot be triggered by `ONBUILD`");
        let remedy = "leave out one of the two words";
        sink.push(Diagnostic::error(inner.keyword.span, message).with_remedy(remedy));
        return None;
    }
    let whole = Statement { documents: statement.documents.clone(), ..(**inner).clone() };
    let mut later = Sink::default();
    read(&whole, &mut later);
    for problem in later.into_vec() {
        sink.push(Diagnostic { severity: Severity::Warning, ..problem });
    }
    let text = statement.text.trim();
    let mut trigger = text[statement.keyword.text.len()..].trim_start().to_owned();
    for document in &statement.documents {
        trigger.push('\n');
        trigger += &document.content;
        trigger += &document.name;
    }
    Some(trigger)
}
