//! Commands: the shell form and the exec form.

use crate::diagnostic::{Diagnostic, Sink};
use crate::nearest;
use crate::parser::{Arguments, Statement};

use super::flags::Flags;
use super::{Healthcheck, Probe, duration};

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// One text for the shell that `SHELL` sets.
    Shell(String),
    /// A program and its arguments.
    Exec(Vec<String>),
}

impl Command {
    /// Reads the arguments of `RUN`, `CMD` or `ENTRYPOINT`. No arguments are an empty text for the shell.
    pub(super) fn of(arguments: &Arguments) -> Self {
        match arguments {
            Arguments::Json(words) => Self::Exec(words.iter().map(|it| it.text.clone()).collect()),
            Arguments::Text(word) => Self::Shell(word.text.clone()),
            _ => Self::Shell(String::new()),
        }
    }

    /// Whether there is nothing to run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Shell(text) => text.is_empty(),
            Self::Exec(words) => words.is_empty(),
        }
    }
}

/// `CMD` and `ENTRYPOINT`.
pub(super) fn default(statement: &Statement, sink: &mut Sink) -> Command {
    Flags::none(statement, sink);
    Command::of(&statement.arguments)
}

/// `SHELL`.
pub(super) fn shell(statement: &Statement, sink: &mut Sink) -> Option<Vec<String>> {
    Flags::none(statement, sink);
    match Command::of(&statement.arguments) {
        Command::Exec(words) if !words.is_empty() => Some(words),
        command => {
            let message = match command {
                Command::Shell(text) if !text.is_empty() => "`SHELL` is not a JSON array",
                _ => "`SHELL` names no program",
            };
            let remedy = "write it as a JSON array: SHELL [\"/bin/sh\", \"-c\"]";
            sink.push(Diagnostic::error(statement.span, message).with_remedy(remedy));
            None
        }
    }
}

/// `HEALTHCHECK`.
pub(super) fn healthcheck(statement: &Statement, sink: &mut Sink) -> Option<Healthcheck> {
    use super::flags::Takes::Value;
    let Arguments::Healthcheck(kind, command) = &statement.arguments else {
        let problem =
            Diagnostic::error(statement.span, "`HEALTHCHECK` needs at least one argument");
        sink.push(problem.with_remedy("write `HEALTHCHECK CMD COMMAND`, or `HEALTHCHECK NONE`"));
        return None;
    };
    let command = Command::of(command);
    match kind.text.to_uppercase().as_str() {
        "NONE" if !command.is_empty() => {
            let problem =
                Diagnostic::error(statement.span, "`HEALTHCHECK NONE` takes no arguments");
            sink.push(problem.with_remedy("leave out what follows `NONE`"));
            None
        }
        "NONE" => {
            Flags::ignored(statement, sink);
            Some(Healthcheck::Disabled)
        }
        "CMD" if command.is_empty() => {
            let problem = Diagnostic::error(kind.span, "`HEALTHCHECK CMD` has no command");
            sink.push(problem.with_remedy("write the command after `CMD`"));
            None
        }
        "CMD" => {
            let names = ["interval", "timeout", "start-period", "start-interval", "retries"];
            let mut flags = Flags::read(statement, &names.map(|name| (name, Value)), sink);
            let mut time = |name: &str, sink: &mut Sink| {
                flags.value(name).map_or(0, |word| duration::read(&word, name, sink).unwrap_or(0))
            };
            let (interval, timeout) = (time("interval", sink), time("timeout", sink));
            let (start_period, start_interval) =
                (time("start-period", sink), time("start-interval", sink));
            let retries = flags.value("retries").map_or(0, |word| {
                let parsed = word.text.strip_prefix('+').unwrap_or(&word.text).parse::<i32>();
                parsed.ok().and_then(|it| u32::try_from(it).ok()).unwrap_or_else(|| {
                    let message = format!("`{}` is not a number of retries", word.text);
                    sink.push(
                        Diagnostic::error(word.span, message).with_remedy("write `--retries=3`"),
                    );
                    0
                })
            });
            Some(Healthcheck::Probe(Probe {
                command,
                interval,
                timeout,
                start_period,
                start_interval,
                retries,
            }))
        }
        other => {
            let message = format!("`{}` is no kind of health check", kind.text);
            let remedy = nearest::remedy(other, &["CMD", "NONE"]);
            sink.push(Diagnostic::error(kind.span, message).with_remedy(remedy));
            None
        }
    }
}
