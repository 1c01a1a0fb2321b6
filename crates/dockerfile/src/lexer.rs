//! Joins the lines of a file into instructions: continuations, comments and here-documents.

use crate::diagnostic::{Diagnostic, Rule, Sink, Span};
use crate::directive::{self, Key};
use crate::line::{Line, MAX_LINE, lines};

/// The longest instruction, in bytes. No process can be given a longer one.
const MAX_INSTRUCTION: usize = 1 << 20;

/// An instruction as one line of text, with its way back into the file.
#[derive(Debug, Default)]
pub(crate) struct Logical {
    /// The text without continuations, comments and line endings.
    pub(crate) text: String,
    /// From the first to the last line of it.
    pub(crate) span: Span,
    /// Where pieces of `text` come from: offset there, offset in the file. There can be one for every few bytes.
    pieces: Vec<(u32, u32)>,
}

impl Logical {
    fn push(&mut self, text: &str, source: usize) {
        if !text.is_empty() {
            let place = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
            self.pieces.push((place(self.text.len()), place(source)));
            self.text.push_str(text);
        }
    }

    fn source(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|(start, _)| *start as usize <= at).checked_sub(1);
        piece.map_or(self.span.start, |piece| {
            let (start, source) = self.pieces[piece];
            source as usize + (at - start as usize)
        })
    }

    /// Returns where the bytes `start..end` of the text are in the file.
    pub(crate) fn span_of(&self, start: usize, end: usize) -> Span {
        let first = self.source(start);
        // The end of a piece is not the start of the next one, which is on another line.
        let last = if end > start { self.source(end - 1) + 1 } else { first };
        Span { start: first, end: last.max(first) }
    }
}

/// Reads a file line by line.
pub(crate) struct Lexer<'a> {
    lines: Box<dyn Iterator<Item = Line<'a>> + 'a>,
    /// The escape character, as the directive sets it.
    pub(crate) escape: char,
    /// The directives seen, until the block of them ends.
    seen: Option<Vec<Key>>,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let body = crate::line::without_bom(text);
        let lines = Box::new(lines(body, text.len() - body.len()));
        Self { lines, escape: '\\', seen: Some(Vec::new()) }
    }

    fn next_line(&mut self, sink: &mut Sink) -> Option<Line<'a>> {
        let line = self.lines.next()?;
        if line.is_too_long() {
            let range = line.content_range();
            let span = Span { start: range.start, end: range.end };
            sink.push(
                Diagnostic::error(span, format!("the line is longer than {MAX_LINE} bytes"))
                    .with_remedy("break it with the escape character, or move the text into a file and `COPY` that"),
            );
        }
        Some(line)
    }

    /// Reads the next instruction, skipping blank lines and comments before it.
    pub(crate) fn instruction(&mut self, sink: &mut Sink) -> Option<Logical> {
        loop {
            let line = self.next_line(sink)?;
            let content = line.content();
            let text = content.trim_start();
            let start = line.start + (content.len() - text.len());
            self.directive(text, start, sink);
            if text.starts_with('#') {
                continue;
            }
            let (text, continues) = self.without_continuation(text);
            if !continues && text.is_empty() {
                continue;
            }
            let span = Span { start, end: start + content.trim_start().len() };
            let mut logical = Logical { span, ..Logical::default() };
            logical.push(text, start);
            if continues {
                self.continuation(&mut logical, sink);
            }
            return Some(logical);
        }
    }

    fn continuation(&mut self, logical: &mut Logical, sink: &mut Sink) {
        let (mut warned, mut too_long) = (false, false);
        while let Some(line) = self.next_line(sink) {
            let content = line.content();
            let range = line.content_range();
            if content.trim_start().starts_with('#') {
                continue;
            }
            if content.trim_start().is_empty() {
                if !warned {
                    let span = Span { start: range.start, end: range.end };
                    let warning = Diagnostic::warning(span, "a blank line inside an instruction")
                        .with_rule(Rule::NoEmptyContinuation);
                    sink.push(
                        warning.with_remedy("remove the line, or the escape character before it"),
                    );
                    warned = true;
                }
                continue;
            }
            let (text, continues) = self.without_continuation(content);
            logical.push(text, line.start);
            logical.span.end = range.end;
            if logical.text.len() > MAX_INSTRUCTION && !too_long {
                too_long = true;
                let message = format!("the instruction is longer than {MAX_INSTRUCTION} bytes");
                let remedy = "move what is long into a file, and `COPY` that";
                sink.push(Diagnostic::error(logical.span, message).with_remedy(remedy));
            }
            if too_long {
                logical.text.truncate(0);
                logical.pieces.clear();
            }
            if !continues {
                return;
            }
        }
    }

    /// Reads the lines of a here-document up to its `name`. Returns `None` if the file ends before.
    pub(crate) fn document(
        &mut self,
        name: &str,
        chomp: bool,
        sink: &mut Sink,
    ) -> Option<(String, Span)> {
        let mut content = String::new();
        let mut span: Option<Span> = None;
        while let Some(line) = self.next_line(sink) {
            let range = line.content_range();
            let here = Span { start: range.start, end: range.end };
            let possible = line.content();
            let possible = if chomp { possible.trim_start_matches('\t') } else { possible };
            if possible == name {
                return Some((content, span.map_or(here, |span| span.to(here))));
            }
            span = Some(span.map_or(here, |span| span.to(here)));
            content.push_str(line.raw);
        }
        None
    }

    fn directive(&mut self, text: &str, start: usize, sink: &mut Sink) {
        let Some(seen) = &mut self.seen else { return };
        let Some((key, value)) = directive::of_text(text, "#") else {
            self.seen = None;
            return;
        };
        let span = Span { start, end: start + text.len() };
        if seen.contains(&key) {
            let message = format!("the directive `{key}` is there twice");
            sink.push(Diagnostic::error(span, message).with_remedy("keep one of the two lines"));
            return;
        }
        seen.push(key);
        if key == Key::Escape {
            match value.as_str() {
                "\\" => self.escape = '\\',
                "`" => self.escape = '`',
                _ => sink.push(
                    Diagnostic::error(span, format!("`{value}` cannot be the escape character"))
                        .with_remedy("use a backslash or a backtick: # escape=`"),
                ),
            }
        }
    }

    /// Takes the escape character off the end of a line that goes on in the next.
    fn without_continuation<'t>(&self, text: &'t str) -> (&'t str, bool) {
        let trimmed = text.trim_end_matches([' ', '\t']);
        match trimmed.strip_suffix(self.escape) {
            Some(before) if !before.ends_with(self.escape) => (before, true),
            _ => (text, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> (Vec<Logical>, Vec<Diagnostic>) {
        let (mut lexer, mut sink) = (Lexer::new(text), Sink::default());
        let mut found = Vec::new();
        while let Some(logical) = lexer.instruction(&mut sink) {
            found.push(logical);
        }
        (found, sink.into_vec())
    }

    fn texts(text: &str) -> Vec<String> {
        all(text).0.into_iter().map(|it| it.text).collect()
    }

    #[test]
    fn continuations_join_lines_and_skip_comments() {
        assert_eq!(
            texts("RUN a \\\n  b\\ \t\n# c\\\n   # d\n\\\n e\nRUN f"),
            ["RUN a   b e", "RUN f"]
        );
        assert_eq!(texts("RUN a\\\\\nRUN b"), ["RUN a\\\\", "RUN b"]);
        assert_eq!(texts("RUN a \\"), ["RUN a "]);
        assert_eq!(texts("\r\n  RUN a\\\r\n b\r\n"), ["RUN a b"]);
    }

    #[test]
    fn the_escape_directive_changes_the_continuation() {
        assert_eq!(texts("\u{feff}  # escape=`\nRUN a `\nb \\\nRUN c"), ["RUN a b \\", "RUN c"]);
        assert_eq!(texts("# x\n# escape=`\nRUN a `\nRUN b"), ["RUN a `", "RUN b"]);
    }

    #[test]
    fn spans_lead_back_into_the_file() {
        let text = "# c\nRUN one \\\n# c\n  two\n";
        let (found, _) = all(text);
        let at = found[0].text.find("two").expect("it is there");
        let span = found[0].span_of(at, at + 3);
        assert_eq!(&text[span.start..span.end], "two");
        assert_eq!(&text[found[0].span.start..found[0].span.end], "RUN one \\\n# c\n  two");
        let over = found[0].span_of(4, at + 3);
        assert_eq!(&text[over.start..over.end], "one \\\n# c\n  two");
    }

    #[test]
    fn problems_of_lines_are_reported_and_reading_goes_on() {
        let text =
            format!("# escape=x\n# escape=`\nRUN a \\\n\nb\nRUN {}\nRUN c", "d".repeat(MAX_LINE));
        let (found, problems) = all(&text);
        assert_eq!(found.len(), 3);
        let messages: Vec<_> = problems.iter().map(|it| it.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "`x` cannot be the escape character",
                "the directive `escape` is there twice",
                "a blank line inside an instruction",
                "the line is longer than 65535 bytes"
            ]
        );
    }
}
