//! Reads a Dockerfile, as much of it as the suite's own cases use.
//!
//! Written apart from `boxwright-dockerfile`, so that the two cannot be wrong in the same way.

use boxwright_core::{Error, ErrorKind, Result};

const INSTRUCTIONS: [&str; 18] = [
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

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Its name in upper case.
    pub(super) name: String,
    /// Its `--name=value` flags.
    pub(super) flags: Vec<(String, String)>,
    /// What follows, on one line.
    pub(super) rest: String,
    /// Its here-documents.
    pub(super) documents: Vec<Document>,
    /// The line it begins on.
    pub(super) line: usize,
}

/// A here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) name: String,
    pub(super) content: String,
    /// Whether variables in it are replaced: not if its name is quoted.
    pub(super) expands: bool,
}

impl Instruction {
    /// Returns the value of a flag.
    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    /// Returns all values of a flag.
    pub(super) fn flags<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    /// Returns the arguments if they are a JSON array of strings.
    pub(super) fn json(&self) -> Option<Vec<String>> {
        serde_json::from_str(&self.rest).ok()
    }
}

/// Reads all instructions of a file.
pub(super) fn parse(text: &str) -> Result<Vec<Instruction>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = escape(text);
    let mut lines = text.lines().enumerate();
    let mut instructions = Vec::new();
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut whole = String::new();
        let mut next = Some(line.to_owned());
        while let Some(line) = next.take() {
            match line.trim_end().strip_suffix(escape) {
                Some(begun) => {
                    whole.push_str(begun);
                    let mut rest = lines.by_ref().map(|(_, line)| line);
                    next = rest.find(|line| !is_blank(line)).map(str::to_owned);
                }
                None => whole.push_str(&line),
            }
        }
        let mut instruction = instruction(&whole, number + 1)?;
        for opener in openers(&instruction) {
            let mut content = String::new();
            loop {
                let (_, line) = lines.next().ok_or_else(|| {
                    invalid(number + 1, format!("the here-document `{}` has no end", opener.name))
                })?;
                let line = if opener.strips_tabs { line.trim_start_matches('\t') } else { line };
                if line == opener.name {
                    break;
                }
                content.push_str(line);
                content.push('\n');
            }
            let (name, expands) = (opener.name, opener.expands);
            instruction.documents.push(Document { name, content, expands });
        }
        instructions.push(instruction);
    }
    let first = instructions.iter().find(|instruction| instruction.name != "ARG");
    match first {
        Some(first) if first.name == "FROM" => Ok(instructions),
        Some(first) => Err(invalid(first.line, "no `FROM` stands before it".to_owned())),
        None => Err(invalid(1, "there is no instruction in it".to_owned())),
    }
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

fn escape(text: &str) -> char {
    for line in text.lines() {
        let Some(directive) = line.trim().strip_prefix('#') else { break };
        let Some((name, value)) = directive.split_once('=') else { break };
        if name.trim().eq_ignore_ascii_case("escape") && value.trim() == "`" {
            return '`';
        }
    }
    '\\'
}

fn invalid(line: usize, cause: String) -> Error {
    Error::new(ErrorKind::InvalidDockerfile, format!("the Dockerfile is wrong at line {line}"))
        .with_cause(cause)
        .with_context("line", line.to_string())
}

fn instruction(whole: &str, line: usize) -> Result<Instruction> {
    let (name, rest) = whole.split_once(char::is_whitespace).unwrap_or((whole, ""));
    let name = name.to_ascii_uppercase();
    if !INSTRUCTIONS.contains(&name.as_str()) {
        let error = invalid(line, format!("unknown instruction `{name}`"));
        return Err(match boxwright_core::nearest(&name, &INSTRUCTIONS) {
            Some(near) => error.with_remedy(format!("use `{near}`")),
            None => error,
        });
    }
    let mut rest = rest.trim();
    let mut flags = Vec::new();
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (flag, value) = flag.split_once('=').unwrap_or((flag, "true"));
        flags.push((flag.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    if rest.is_empty() {
        return Err(invalid(line, format!("`{name}` needs at least one argument")));
    }
    Ok(Instruction { name, flags, rest: rest.to_owned(), documents: Vec::new(), line })
}

struct Opener {
    name: String,
    strips_tabs: bool,
    expands: bool,
}

fn openers(instruction: &Instruction) -> Vec<Opener> {
    if !matches!(instruction.name.as_str(), "RUN" | "COPY" | "ADD") {
        return Vec::new();
    }
    let words = instruction.rest.split_whitespace();
    let opener = |word: &str| {
        let word = word.strip_prefix("<<")?;
        let (strips_tabs, word) = match word.strip_prefix('-') {
            Some(word) => (true, word),
            None => (false, word),
        };
        let name = word.trim_matches(['"', '\'']).to_owned();
        let expands = name == word;
        (!name.is_empty()).then_some(Opener { name, strips_tabs, expands })
    };
    words.filter_map(opener).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_lines_and_reads_documents() {
        let text =
            "# syntax=x\nFROM a\nRUN echo 1 \\\n # remark\n  2\nCOPY --chmod=600 <<E /x\nhi\nE\n";
        let all = parse(text).unwrap();
        assert_eq!(all[1].rest, "echo 1   2");
        assert_eq!(all[2].flag("chmod"), Some("600"));
        assert_eq!(all[2].documents[0].content, "hi\n");
    }

    #[test]
    fn names_the_line_and_the_nearest_instruction() {
        let error = parse("FROM a\nCOPPY . /\n").unwrap_err();
        assert_eq!(
            (error.kind(), error.remedy()),
            (ErrorKind::InvalidDockerfile, Some("use `COPY`"))
        );
        assert_eq!(error.to_string(), "the Dockerfile is wrong at line 2");
        assert!(parse("RUN x\n").is_err());
        assert!(parse("FROM a\nRUN <<E\nx\n").is_err());
    }
}
