//! Instructions that hold values: `ARG`, `ENV`, `LABEL`, `EXPOSE`, `VOLUME`, and those of one argument.

use crate::diagnostic::{Diagnostic, Rule, Sink};
use crate::fragment::Word;
use crate::parser::{Arguments, Pair, Statement};

use super::flags::Flags;

/// A variable that `ARG` declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: Word,
    /// Its value if none is passed.
    pub default: Option<Word>,
}

fn too_few(statement: &Statement, form: &str) -> Diagnostic {
    let name = statement.name();
    Diagnostic::error(statement.span, format!("`{name}` needs at least one argument"))
        .with_remedy(format!("write `{name} {form}`"))
}

/// Reads the argument of an instruction that has exactly one.
pub(super) fn one_text(statement: &Statement, sink: &mut Sink) -> Option<Word> {
    if let Arguments::Text(word) = &statement.arguments {
        return Some(word.clone());
    }
    let name = statement.name();
    let problem = Diagnostic::error(statement.span, format!("`{name}` needs exactly one argument"));
    sink.push(problem.with_remedy(format!("write `{name} VALUE`")));
    None
}

/// As [`one_text`], of an instruction that has no flags.
pub(super) fn one(statement: &Statement, sink: &mut Sink) -> Option<Word> {
    Flags::none(statement, sink);
    one_text(statement, sink)
}

/// `EXPOSE`
pub(super) fn list(statement: &Statement, sink: &mut Sink) -> Option<Vec<Word>> {
    Flags::none(statement, sink);
    let (Arguments::List(words) | Arguments::Json(words)) = &statement.arguments else {
        sink.push(too_few(statement, "VALUE"));
        return None;
    };
    let mut words = words.clone();
    words.sort_by(|a, b| a.text.cmp(&b.text));
    Some(words)
}

/// `VOLUME`
pub(super) fn volumes(statement: &Statement, sink: &mut Sink) -> Option<Vec<Word>> {
    Flags::none(statement, sink);
    let words = match &statement.arguments {
        Arguments::List(words) | Arguments::Json(words) if !words.is_empty() => words,
        _ => {
            sink.push(too_few(statement, "/PATH"));
            return None;
        }
    };
    let trimmed = words.iter().map(|it| Word { text: it.text.trim().to_owned(), span: it.span });
    let words: Vec<Word> = trimmed.collect();
    if let Some(empty) = words.iter().find(|it| it.text.is_empty()) {
        let problem = Diagnostic::error(empty.span, "the path of a volume is empty");
        sink.push(problem.with_remedy("write an absolute path"));
        return None;
    }
    Some(words)
}

/// `ENV` and `LABEL`
pub(super) fn pairs(statement: &Statement, sink: &mut Sink) -> Option<Vec<Pair>> {
    Flags::none(statement, sink);
    let Arguments::Pairs(pairs) = &statement.arguments else {
        sink.push(too_few(statement, "NAME=VALUE"));
        return None;
    };
    for pair in pairs {
        if pair.key.text.is_empty() {
            sink.push(blank(statement, &pair.key));
        } else if pair.legacy {
            let name = statement.name();
            let message = format!("`{name} {} VALUE` without `=` is deprecated", pair.key.text);
            let remedy =
                format!("write `{name} {}=VALUE`, with quotes if it has spaces", pair.key.text);
            let warning = Diagnostic::warning(statement.span, message).with_remedy(remedy);
            sink.push(warning.with_rule(Rule::LegacyKeyValueFormat));
        }
    }
    Some(pairs.clone())
}

/// `ARG`
pub(super) fn arguments(statement: &Statement, sink: &mut Sink) -> Option<Vec<Argument>> {
    let Arguments::List(words) = &statement.arguments else {
        sink.push(too_few(statement, "NAME"));
        return None;
    };
    Flags::ignored(statement, sink);
    let read = |word: &Word| {
        let at = |text: &str| Word { text: text.to_owned(), span: word.span };
        match word.text.split_once('=') {
            Some((name, default)) => Argument { name: at(name), default: Some(at(default)) },
            None => Argument { name: word.clone(), default: None },
        }
    };
    let all: Vec<Argument> = words.iter().map(read).collect();
    all.iter()
        .filter(|it| it.name.text.is_empty())
        .for_each(|it| sink.push(blank(statement, &it.name)));
    Some(all)
}

fn blank(statement: &Statement, word: &Word) -> Diagnostic {
    Diagnostic::error(word.span, format!("a name of `{}` is empty", statement.name()))
        .with_remedy("write a name before the `=`")
}
