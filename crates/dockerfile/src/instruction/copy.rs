//! `COPY` and `ADD`.

use crate::diagnostic::{Diagnostic, Sink};
use crate::fragment::Word;
use crate::heredoc::{Document, Opener};
use crate::parser::{Arguments, Statement};

use super::flags::{Flags, Takes};

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `COPY`
    Copy,
    /// `ADD`: unpacks archives, and takes addresses.
    Add,
}

/// `COPY [FLAGS] SOURCE… DESTINATION` and the same with `ADD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Which of the two it is.
    pub kind: Kind,
    /// Paths, and addresses for `ADD`.
    pub sources: Vec<Word>,
    /// Files whose content is in the Dockerfile. Each is named after its here-document.
    pub documents: Vec<Document>,
    /// Where they go.
    pub destination: Word,
    /// `--from`: a stage by name or number, an image, or a named context.
    pub from: Option<Word>,
    /// `--chown`
    pub chown: Option<Word>,
    /// `--chmod`
    pub chmod: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`
    pub exclude: Vec<Word>,
    /// `--checksum`
    pub checksum: Option<Word>,
    /// `--keep-git-dir`
    pub keep_git_dir: Option<bool>,
    /// `--unpack`
    pub unpack: Option<bool>,
}

const COPY: &[(&str, Takes)] = &[
    ("chmod", Takes::Value),
    ("chown", Takes::Value),
    ("exclude", Takes::Values),
    ("from", Takes::Value),
    ("link", Takes::Truth),
    ("parents", Takes::Truth),
];

const ADD: &[(&str, Takes)] = &[
    ("checksum", Takes::Value),
    ("chmod", Takes::Value),
    ("chown", Takes::Value),
    ("exclude", Takes::Values),
    ("keep-git-dir", Takes::Truth),
    ("link", Takes::Truth),
    ("unpack", Takes::Truth),
];

pub(super) fn read(statement: &Statement, kind: Kind, sink: &mut Sink) -> Option<Copy> {
    let mut flags = Flags::read(statement, if kind == Kind::Add { ADD } else { COPY }, sink);
    let name = statement.name();
    let words = match &statement.arguments {
        Arguments::List(words) | Arguments::Json(words) => words.as_slice(),
        _ => &[],
    };
    let Some((destination, sources)) =
        words.split_last().filter(|(_, sources)| !sources.is_empty())
    else {
        let problem =
            Diagnostic::error(statement.span, format!("`{name}` needs at least two arguments"));
        sink.push(problem.with_remedy(match words {
            [source] => format!("say where it goes: `{name} {} DESTINATION`", source.text),
            _ => format!("write `{name} SOURCE DESTINATION`"),
        }));
        return None;
    };
    if opener(&destination.text).is_some() {
        let problem = Diagnostic::error(
            destination.span,
            format!("the destination of `{name}` is a here-document"),
        );
        sink.push(problem.with_remedy("write the destination last"));
        return None;
    }
    let mut copy = Copy {
        kind,
        sources: Vec::new(),
        documents: Vec::new(),
        destination: destination.clone(),
        from: flags.value("from").filter(|it| !it.text.is_empty()),
        chown: flags.value("chown"),
        chmod: flags.value("chmod"),
        link: flags.truth("link").unwrap_or(false),
        parents: flags.truth("parents").unwrap_or(false),
        exclude: flags.values("exclude"),
        checksum: flags.value("checksum"),
        keep_git_dir: flags.truth("keep-git-dir"),
        unpack: flags.truth("unpack"),
    };
    for source in sources {
        match opener(&source.text) {
            Some(opener) => copy.documents.push(document(statement, &opener)),
            None => copy.sources.push(source.clone()),
        }
    }
    Some(copy)
}

fn opener(text: &str) -> Option<Opener> {
    Opener::parse(text).ok().flatten()
}

/// Finds the content of a here-document; of two with one name, the last. The JSON form has openers and no content.
fn document(statement: &Statement, opener: &Opener) -> Document {
    let content = statement.documents.iter().rfind(|it| it.name == opener.name);
    Document {
        name: opener.name.clone(),
        content: content.map(|it| it.content.clone()).unwrap_or_default(),
        expand: opener.expand,
        chomp: opener.chomp,
        descriptor: opener.descriptor,
        span: content.map_or(statement.span, |it| it.span),
    }
}
