//! Reads a file into statements: the name, flags, arguments and here-documents of each instruction.

use crate::diagnostic::{Diagnostic, Sink, Span};
use crate::fragment::{Fragment, Word};
use crate::heredoc::{Document, Opener};
use crate::lexer::Lexer;

/// The names of all instructions, in upper case.
pub const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// The largest file, in bytes. BuildKit takes no larger one over its connection.
const MAX_FILE: usize = 16 << 20;

/// How many instructions a file may have. An image has room for a few hundred.
const MAX_STATEMENTS: usize = 20_000;

/// How many words the instructions of a file may have, so that memory stays in proportion.
const MAX_WORDS: usize = 200_000;

/// A file as statements.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The statements in order. One that could not be read is missing, and there is a problem for it.
    pub statements: Vec<Statement>,
    /// The escape character.
    pub escape: char,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// One instruction as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its name, as written.
    pub keyword: Word,
    /// Its flags, each with its `--`.
    pub flags: Vec<Word>,
    /// What follows.
    pub arguments: Arguments,
    /// Its here-documents.
    pub documents: Vec<Document>,
    /// The instruction on one line, without continuations, comments and here-documents.
    pub text: String,
    /// Where it is, from its name to its last line.
    pub span: Span,
}

/// The arguments of an instruction, by the form that they are written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// There are none.
    None,
    /// Everything as one text: a command for the shell, or a value.
    Text(Word),
    /// Words between white space.
    List(Vec<Word>),
    /// A JSON array of strings.
    Json(Vec<Word>),
    /// Names and values.
    Pairs(Vec<Pair>),
    /// The word after `HEALTHCHECK`, and what follows it.
    Healthcheck(Word, Box<Self>),
    /// The instruction after `ONBUILD`.
    Statement(Box<Statement>),
    /// The instruction is not known, so neither is its form.
    Unknown,
}

/// A name and a value of `ENV` or `LABEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub key: Word,
    /// The value.
    pub value: Word,
    /// Whether it is written without `=`, which takes the rest of the line as the value.
    pub legacy: bool,
}

/// Reads `text`.
#[must_use]
pub fn parse(text: &str) -> Tree {
    let (mut lexer, mut sink) = (Lexer::new(text), Sink::default());
    let mut statements = Vec::new();
    let (mut any, mut words) = (false, 0);
    if text.len() > MAX_FILE {
        let problem = too_large(Span::default(), &format!("is larger than {MAX_FILE} bytes"));
        return Tree { statements, escape: lexer.escape, diagnostics: vec![problem] };
    }
    while let Some(line) = lexer.instruction(&mut sink) {
        any = true;
        if statements.len() == MAX_STATEMENTS {
            sink.push(too_large(
                line.span,
                &format!("has more than {MAX_STATEMENTS} instructions"),
            ));
            break;
        }
        match statement(Fragment::new(&line), lexer.escape, Nesting::Allowed) {
            Ok(mut statement) => {
                if statement.takes_documents() {
                    read_documents(&mut statement, &mut lexer, &mut sink);
                }
                words += statement.flags.len() + statement.arguments.len();
                if words > MAX_WORDS {
                    sink.push(too_large(line.span, &format!("has more than {MAX_WORDS} words")));
                    break;
                }
                statements.push(statement);
            }
            Err(problem) => sink.push(problem),
        }
        if sink.is_full() {
            sink.cut(line.span);
            break;
        }
    }
    if !any {
        let problem = Diagnostic::error(Span::default(), "the Dockerfile has no instructions");
        sink.push(problem.with_remedy("begin with `FROM`"));
    }
    Tree { statements, escape: lexer.escape, diagnostics: sink.into_vec() }
}

fn too_large(span: Span, how: &str) -> Diagnostic {
    Diagnostic::error(span, format!("the Dockerfile {how}"))
        .with_remedy("build a part of it as an image of its own, and begin with that")
}

impl Arguments {
    /// How many words there are.
    fn len(&self) -> usize {
        match self {
            Self::None | Self::Unknown | Self::Text(_) => 1,
            Self::List(words) | Self::Json(words) => words.len(),
            Self::Pairs(pairs) => 2 * pairs.len(),
            Self::Healthcheck(_, command) => command.len(),
            Self::Statement(inner) => inner.flags.len() + inner.arguments.len(),
        }
    }
}

impl Statement {
    /// Returns the name in upper case.
    #[must_use]
    pub fn name(&self) -> String {
        self.keyword.text.to_uppercase()
    }

    fn takes_documents(&self) -> bool {
        if let Arguments::Statement(inner) = &self.arguments {
            return inner.takes_documents();
        }
        matches!(self.name().as_str(), "ADD" | "COPY" | "RUN")
            && !matches!(self.arguments, Arguments::Json(_))
    }
}

fn read_documents(statement: &mut Statement, lexer: &mut Lexer<'_>, sink: &mut Sink) {
    let openers = match Opener::all(&statement.text) {
        Ok(openers) => openers,
        Err(error) => {
            sink.push(Diagnostic::error(
                statement.span,
                format!("the here-document has no name: {error}"),
            ));
            return;
        }
    };
    for opener in openers {
        let Some((content, span)) = lexer.document(&opener.name, opener.chomp, sink) else {
            let message = format!("the here-document `{}` does not end", opener.name);
            let remedy = format!("add a line with nothing but `{}` after its content", opener.name);
            sink.push(Diagnostic::error(statement.span, message).with_remedy(remedy));
            return;
        };
        statement.span = statement.span.to(span);
        statement.documents.push(Document {
            name: opener.name,
            content,
            expand: opener.expand,
            chomp: opener.chomp,
            descriptor: opener.descriptor,
            span,
        });
    }
}

/// Whether `ONBUILD` may hold another instruction here. It may not in itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nesting {
    Allowed,
    Forbidden,
}

fn statement(line: Fragment<'_>, escape: char, nesting: Nesting) -> Result<Statement, Diagnostic> {
    let (keyword, rest) = line.trim().split_first();
    let rest = rest.unwrap_or_else(|| keyword.part(keyword.text().len(), keyword.text().len()));
    let (flags, rest) = rest.split_flags(escape);
    let rest = rest.trim();
    let arguments = match keyword.text().to_uppercase().as_str() {
        "ADD" | "COPY" | "VOLUME" => json_or(rest, |rest| Arguments::List(list(rest)))?,
        "CMD" | "ENTRYPOINT" | "RUN" | "SHELL" => json_or(rest, text)?,
        "ARG" => match rest.split_quoted(escape) {
            words if words.is_empty() => Arguments::None,
            words => Arguments::List(words),
        },
        "ENV" | "LABEL" => pairs(keyword, rest, escape)?,
        "EXPOSE" | "FROM" if rest.is_empty() => Arguments::None,
        "EXPOSE" | "FROM" => Arguments::List(list(rest)),
        "HEALTHCHECK" => healthcheck(rest)?,
        "MAINTAINER" | "STOPSIGNAL" | "USER" | "WORKDIR" => text(rest),
        "ONBUILD" if rest.is_empty() => Arguments::None,
        "ONBUILD" if nesting == Nesting::Forbidden => Arguments::Unknown,
        "ONBUILD" => Arguments::Statement(Box::new(statement(rest, escape, Nesting::Forbidden)?)),
        _ => Arguments::Unknown,
    };
    let (text, span) = (line.text().to_owned(), line.span());
    Ok(Statement { keyword: keyword.word(), flags, arguments, documents: Vec::new(), text, span })
}

fn text(rest: Fragment<'_>) -> Arguments {
    if rest.is_empty() { Arguments::None } else { Arguments::Text(rest.word()) }
}

fn list(rest: Fragment<'_>) -> Vec<Word> {
    if rest.is_empty() {
        Vec::new()
    } else {
        rest.split_blank().into_iter().map(Fragment::word).collect()
    }
}

fn json_or(
    rest: Fragment<'_>,
    other: impl Fn(Fragment<'_>) -> Arguments,
) -> Result<Arguments, Diagnostic> {
    if !rest.text().starts_with('[') {
        return Ok(match other(rest) {
            Arguments::List(words) if words.is_empty() => Arguments::None,
            arguments => arguments,
        });
    }
    if let Ok(strings) = serde_json::from_str::<Vec<String>>(rest.text()) {
        let places = json_strings(rest);
        let words = strings.into_iter().zip(places).map(|(text, place)| place.word_with(text));
        return Ok(Arguments::Json(words.collect()));
    }
    // Broken JSON is a command for the shell, where `[` is a program. Whole JSON of other things is a mistake.
    if serde_json::from_str::<Vec<serde::de::IgnoredAny>>(rest.text()).is_ok() {
        let problem = Diagnostic::error(rest.span(), "a JSON array here must hold strings only");
        return Err(problem.with_remedy("put each argument in double quotes"));
    }
    Ok(other(rest))
}

/// Finds where the strings of a JSON array are. The array is known to be right.
fn json_strings(array: Fragment<'_>) -> Vec<Fragment<'_>> {
    let mut places = Vec::new();
    let mut open = None;
    let mut chars = array.text().char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, open) {
            ('\\', Some(_)) => {
                chars.next();
            }
            ('"', Some(start)) => {
                places.push(array.part(start, at + 1));
                open = None;
            }
            ('"', None) => open = Some(at),
            _ => {}
        }
    }
    places
}

fn pairs(keyword: Fragment<'_>, rest: Fragment<'_>, escape: char) -> Result<Arguments, Diagnostic> {
    let words = rest.split_quoted(escape);
    let Some(first) = words.first() else { return Ok(Arguments::None) };
    let name = keyword.text().to_uppercase();
    if !first.text.contains('=') {
        let (key, Some(value)) = rest.split_first() else {
            let problem =
                Diagnostic::error(rest.span(), format!("`{name} {}` has no value", rest.text()));
            return Err(problem.with_remedy(format!("write `{name} {}=VALUE`", rest.text())));
        };
        return Ok(Arguments::Pairs(vec![Pair {
            key: key.word(),
            value: value.word(),
            legacy: true,
        }]));
    }
    let pairs = words.into_iter().map(|word| {
        let Some((key, value)) = word.text.split_once('=') else {
            let problem = Diagnostic::error(word.span, format!("`{}` has no `=`", word.text));
            return Err(
                problem.with_remedy("write `NAME=VALUE`, and put a value with spaces in quotes")
            );
        };
        let at = |text: &str| Word { text: text.to_owned(), span: word.span };
        Ok(Pair { key: at(key), value: at(value), legacy: false })
    });
    pairs.collect::<Result<_, _>>().map(Arguments::Pairs)
}

fn healthcheck(rest: Fragment<'_>) -> Result<Arguments, Diagnostic> {
    if rest.is_empty() {
        return Ok(Arguments::None);
    }
    let text = rest.text();
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '\u{b}').unwrap_or(text.len());
    let command = json_or(rest.part(end, text.len()).trim(), self::text)?;
    Ok(Arguments::Healthcheck(rest.part(0, end).word(), Box::new(command)))
}
