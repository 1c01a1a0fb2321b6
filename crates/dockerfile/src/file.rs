//! A Dockerfile as stages of instructions.

use crate::diagnostic::{Diagnostic, Rule, Severity, Sink, Span};
use crate::directive;
use crate::fragment::Word;
use crate::instruction::{Action, Argument, From, Instruction, read};
use crate::nearest;
use crate::parser::{self, INSTRUCTIONS};

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
    /// Whether something is missing that may have set a variable: a broken `ARG` or `ENV`.
    pub(crate) lacks_variables: bool,
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
    /// Reads `text`. Warnings that its `# check=` skips are left out.
    ///
    /// # Errors
    ///
    /// Every problem of the file, in the order of the file.
    pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut sink = Sink::with(&directive::checks(text).unwrap_or_default());
        let file = Self::read(text, &mut sink);
        match file.filter(|_| !sink.has_errors()) {
            Some(file) => Ok(Self { warnings: sink.into_vec(), ..file }),
            None => Err(sink.into_vec()),
        }
    }

    /// Reads `text` as far as it can be read. What is wrong goes to `sink`. There is no file if a stage is broken, since
    /// that changes the meaning of all that follows.
    pub(crate) fn read(text: &str, sink: &mut Sink) -> Option<Self> {
        let tree = parser::parse(text);
        let broken = tree.diagnostics.iter().filter(|it| it.severity == Severity::Error);
        let broken = broken.map(|it| Sets::of(line_at(text, it.span)).unwrap_or(Sets::Stage));
        let mut lacking = broken.max().unwrap_or(Sets::Nothing);
        tree.diagnostics.into_iter().for_each(|problem| sink.push(problem));
        let mut file = Self {
            escape: tree.escape,
            arguments: Vec::new(),
            stages: Vec::new(),
            warnings: Vec::new(),
            lacks_variables: false,
        };
        let mut orphan = None;
        for statement in &tree.statements {
            if sink.is_full() {
                sink.cut(statement.span);
                return None;
            }
            match read(statement, sink) {
                Some(instruction) => file.add(instruction, &mut orphan),
                // What is no instruction at all may have been meant to set something.
                None => {
                    lacking = lacking.max(Sets::of(&statement.text).unwrap_or(Sets::Variables));
                }
            }
        }
        let is_whole = lacking < Sets::Stage;
        file.lacks_variables = lacking == Sets::Variables;
        if let Some(span) = orphan.filter(|_| is_whole) {
            let problem = Diagnostic::error(span, "the instruction comes before the first `FROM`");
            sink.push(problem.with_remedy("begin with `FROM`; only `ARG` may come before it"));
        } else if file.stages.is_empty() && !sink.has_errors() {
            let end = Span { start: text.len(), end: text.len() };
            let problem = Diagnostic::error(end, "there is no `FROM`");
            sink.push(problem.with_remedy("add a line such as `FROM scratch`"));
        }
        file.warn_about_names(sink);
        Some(file).filter(|file| is_whole && !file.stages.is_empty())
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
                    Rule::DuplicateStageName,
                ));
            }
            if matches!(name.text.as_str(), "scratch" | "context") {
                sink.push(warning(
                    name,
                    "means something else already",
                    "give the stage another name",
                    Rule::ReservedStageName,
                ));
            }
        }
    }
}

/// The line that a problem is in.
fn line_at(text: &str, span: Span) -> &str {
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// What an instruction sets that changes what others mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sets {
    Nothing,
    Variables,
    Stage,
}

impl Sets {
    /// `None` if the line begins with no instruction. One that is not known is taken for the nearest.
    fn of(line: &str) -> Option<Self> {
        let name = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        let known = INSTRUCTIONS.iter().find(|it| **it == name).copied();
        Some(match known.or_else(|| nearest::nearest(&name, &INSTRUCTIONS))? {
            "FROM" => Self::Stage,
            "ARG" | "ENV" => Self::Variables,
            _ => Self::Nothing,
        })
    }
}

fn warning(name: &Word, what: &str, remedy: &str, rule: Rule) -> Diagnostic {
    let warning = Diagnostic::warning(name.span, format!("`{}` {what}", name.text));
    warning.with_remedy(remedy).with_rule(rule)
}
