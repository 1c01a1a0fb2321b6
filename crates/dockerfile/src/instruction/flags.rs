//! The flags of an instruction, checked against the ones it has.

use crate::diagnostic::{Diagnostic, Sink, Span};
use crate::fragment::Word;
use crate::nearest;
use crate::parser::Statement;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// A value, once.
    Value,
    /// A value, any number of times.
    Values,
    /// Nothing, `true` or `false`.
    Truth,
}

/// The flags that were given.
#[derive(Debug)]
pub(super) struct Flags {
    given: Vec<(&'static str, Word)>,
}

impl Flags {
    /// Reads the flags of `statement`. What is wrong with them goes to `sink`.
    pub(super) fn read(
        statement: &Statement,
        known: &[(&'static str, Takes)],
        sink: &mut Sink,
    ) -> Self {
        let mut given: Vec<(&'static str, Word)> = Vec::new();
        for flag in &statement.flags {
            match one(flag, known) {
                Ok((name, Takes::Values, value)) => given.push((name, value)),
                Ok((name, _, _)) if given.iter().any(|(other, _)| *other == name) => {
                    let problem =
                        Diagnostic::error(flag.span, format!("the flag `--{name}` is there twice"));
                    sink.push(problem.with_remedy("keep one of them"));
                }
                Ok((name, _, value)) => given.push((name, value)),
                Err(problem) => sink.push(problem),
            }
        }
        Self { given }
    }

    /// Reports every flag of an instruction that has none.
    pub(super) fn none(statement: &Statement, sink: &mut Sink) {
        Self::read(statement, &[], sink);
    }

    /// Says that the flags of `statement` do nothing. BuildKit accepts and ignores them on a few instructions.
    pub(super) fn ignored(statement: &Statement, sink: &mut Sink) {
        for flag in &statement.flags {
            let message = format!("`{}` does nothing here", flag.text);
            sink.push(Diagnostic::warning(flag.span, message).with_remedy("leave it out"));
        }
    }

    /// Takes the value of a flag.
    pub(super) fn value(&mut self, name: &str) -> Option<Word> {
        let at = self.given.iter().position(|(given, _)| *given == name)?;
        Some(self.given.remove(at).1)
    }

    /// Takes all values of a flag.
    pub(super) fn values(&mut self, name: &str) -> Vec<Word> {
        let (taken, rest) =
            std::mem::take(&mut self.given).into_iter().partition(|(given, _)| *given == name);
        self.given = rest;
        let taken: Vec<(&str, Word)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// Takes a flag that is true or false.
    pub(super) fn truth(&mut self, name: &str) -> Option<bool> {
        self.value(name).map(|word| word.text == "true")
    }
}

fn one(
    flag: &Word,
    known: &[(&'static str, Takes)],
) -> Result<(&'static str, Takes, Word), Diagnostic> {
    let (written, value) = match flag.text.split_once('=') {
        Some((written, value)) => (written, Some(value)),
        None => (flag.text.as_str(), None),
    };
    let Some((name, takes)) =
        known.iter().find(|(name, _)| written.strip_prefix("--") == Some(name))
    else {
        return Err(unknown(flag.span, written, known));
    };
    let value = match (takes, value) {
        (Takes::Truth, None) => "true",
        (Takes::Truth, Some(value)) => match value.to_lowercase().as_str() {
            "true" => "true",
            "false" => "false",
            _ => {
                let message = format!("`{value}` is neither true nor false");
                return Err(
                    Diagnostic::error(flag.span, message).with_remedy(format!("use `--{name}`"))
                );
            }
        },
        (_, Some(value)) => value,
        (_, None) => {
            let message = format!("the flag `--{name}` has no value");
            return Err(Diagnostic::error(flag.span, message)
                .with_remedy(format!("write `--{name}=VALUE`")));
        }
    };
    Ok((name, *takes, Word { text: value.to_owned(), span: flag.span }))
}

fn unknown(span: Span, written: &str, known: &[(&'static str, Takes)]) -> Diagnostic {
    let names: Vec<String> = known.iter().map(|(name, _)| format!("--{name}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let remedy = if names.is_empty() {
        "leave it out: this instruction has no flags".to_owned()
    } else {
        nearest::remedy(written, &names)
    };
    Diagnostic::error(span, format!("unknown flag `{written}`")).with_remedy(remedy)
}
