//! A Dockerfile as stages of instructions.

use crate::diagnostic::{Diagnostic, Sink, Span};
use crate::fragment::Word;
use crate::instruction::{Action, Argument, From, Instruction, read};
use crate::parser;

/// A file that could be read.
#[derive(Clone, Debug)]
pub struct Dockerfile {
    /// The escape character.
    pub escape: char,
    /// What `ARG` declares before the first `FROM`.
    pub arguments: Vec<Argument>,
    /// The stages in order. There is at least one.
    pub stages: Vec<StageText>,
    /// What seems wrong, but can be built.
    pub warnings: Vec<Diagnostic>,
}

/// A stage as it is written.
#[derive(Clone, Debug)]
pub struct StageText {
    /// Its `FROM`.
    pub from: From,
    /// Its `FROM` as written.
    pub text: String,
    /// Where its `FROM` is.
    pub span: Span,
    /// What follows.
    pub instructions: Vec<Instruction>,
}

impl Dockerfile {
    /// Reads `text`.
    ///
    /// # Errors
    ///
    /// Every problem of the file, in the order of the file.
    pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let tree = parser::parse(text);
        let mut sink = Sink::default();
        tree.diagnostics.into_iter().for_each(|problem| sink.push(problem));
        let mut file = Self {
            escape: tree.escape,
            arguments: Vec::new(),
            stages: Vec::new(),
            warnings: Vec::new(),
        };
        let mut orphan = None;
        let mut broken_from = false;
        for statement in &tree.statements {
            let is_from = statement.name() == "FROM";
            match read(statement, &mut sink) {
                Some(instruction) => file.add(instruction, &mut orphan),
                None => broken_from |= is_from,
            }
        }
        // Without a stage that could be read, what follows belongs to the one that could not.
        if let Some(span) = orphan.filter(|_| !broken_from) {
            let problem = Diagnostic::error(span, "the instruction comes before the first `FROM`");
            sink.push(problem.with_remedy("begin with `FROM`; only `ARG` may come before it"));
        } else if file.stages.is_empty() && !sink.has_errors() {
            let end = Span { start: text.len(), end: text.len() };
            sink.push(
                Diagnostic::error(end, "there is no `FROM`")
                    .with_remedy("add a line such as `FROM scratch`"),
            );
        }
        file.warn_about_names(&mut sink);
        if sink.has_errors() {
            return Err(sink.into_vec());
        }
        file.warnings = sink.into_vec();
        Ok(file)
    }

    fn add(&mut self, instruction: Instruction, orphan: &mut Option<Span>) {
        match (instruction.action, self.stages.last_mut()) {
            (Action::From(from), _) => self.stages.push(StageText {
                from,
                text: instruction.text,
                span: instruction.span,
                instructions: Vec::new(),
            }),
            (Action::Arg(arguments), None) => self.arguments.extend(arguments),
            (action, Some(stage)) => stage.instructions.push(Instruction { action, ..instruction }),
            (_, None) => {
                orphan.get_or_insert(instruction.span);
            }
        }
    }

    fn warn_about_names(&self, sink: &mut Sink) {
        let mut seen = std::collections::BTreeSet::new();
        for name in self.stages.iter().filter_map(|stage| stage.from.name.as_ref()) {
            if !seen.insert(name.text.as_str()) {
                sink.push(warning(
                    name,
                    "is the name of two stages",
                    "give one of them another name",
                ));
            }
            if matches!(name.text.as_str(), "scratch" | "context") {
                sink.push(warning(
                    name,
                    "means something else already",
                    "give the stage another name",
                ));
            }
        }
    }
}

fn warning(name: &Word, what: &str, remedy: &str) -> Diagnostic {
    Diagnostic::warning(name.span, format!("`{}` {what}", name.text)).with_remedy(remedy)
}
