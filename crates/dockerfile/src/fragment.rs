//! A piece of an instruction that knows where it is in the file, and the ways to split one.

use crate::diagnostic::Span;
use crate::lexer::Logical;

/// A piece of text and where it is in the file. Quotes and escapes may have been taken off the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The text.
    pub text: String,
    /// Where it is.
    pub span: Span,
}

/// A piece of a logical line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'a> {
    line: &'a Logical,
    start: usize,
    end: usize,
}

impl<'a> Fragment<'a> {
    pub(crate) fn new(line: &'a Logical) -> Self {
        Self { line, start: 0, end: line.text.len() }
    }

    pub(crate) fn text(self) -> &'a str {
        &self.line.text[self.start..self.end]
    }

    pub(crate) fn span(self) -> Span {
        self.line.span_of(self.start, self.end)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The bytes `start..end` of the fragment.
    pub(crate) fn part(self, start: usize, end: usize) -> Self {
        Self { line: self.line, start: self.start + start, end: self.start + end }
    }

    pub(crate) fn word(self) -> Word {
        self.word_with(self.text().to_owned())
    }

    /// A word whose text is not what is written.
    pub(crate) fn word_with(self, text: String) -> Word {
        Word { text, span: self.span() }
    }

    pub(crate) fn trim(self) -> Self {
        let text = self.text();
        let start = text.len() - text.trim_start().len();
        self.part(start, start + text.trim().len())
    }

    /// Splits at the first white space, as the instruction's name is split from the rest.
    pub(crate) fn split_first(self) -> (Self, Option<Self>) {
        let text = self.text();
        let Some(end) = text.find(is_blank) else { return (self, None) };
        let rest = end + (text.len() - end - text[end..].trim_start_matches(is_blank).len());
        (self.part(0, end), Some(self.part(rest, text.len())))
    }

    /// Splits at white space, whatever quotes say.
    pub(crate) fn split_blank(self) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut rest = Some(self);
        while let Some(fragment) = rest {
            let (first, after) = fragment.split_first();
            parts.push(first);
            rest = after;
        }
        parts
    }

    /// Splits into words that keep their quotes and escapes, as `ENV`, `LABEL` and `ARG` are split.
    pub(crate) fn split_quoted(self, escape: char) -> Vec<Word> {
        let mut words = Vec::new();
        let mut open: Option<(usize, String)> = None;
        let mut quote = None;
        let mut chars = self.text().char_indices();
        while let Some((at, c)) = chars.next() {
            if open.is_none() && c.is_whitespace() {
                continue;
            }
            let (start, word) = open.get_or_insert((at, String::new()));
            match quote {
                None if c.is_whitespace() => {
                    words.push(self.part(*start, at).word_with(std::mem::take(word)));
                    open = None;
                }
                _ if c == escape && quote != Some('\'') => {
                    // At the end of the line there is nothing to escape.
                    if let Some((_, next)) = chars.next() {
                        word.push(c);
                        word.push(next);
                    }
                }
                None => {
                    quote = Some(c).filter(|c| matches!(c, '\'' | '"'));
                    word.push(c);
                }
                Some(open) => {
                    quote = Some(open).filter(|open| *open != c);
                    word.push(c);
                }
            }
        }
        if let Some((start, word)) = open.filter(|(_, word)| !word.is_empty()) {
            words.push(self.part(start, self.text().len()).word_with(word));
        }
        words
    }

    /// Takes the flags off the front: words that begin with `--`, without their quotes and escapes. `--` alone ends them.
    pub(crate) fn split_flags(self, escape: char) -> (Vec<Word>, Self) {
        let text = self.text();
        let mut flags = Vec::new();
        let mut at = 0;
        loop {
            at += text[at..].len() - text[at..].trim_start().len();
            if !text[at..].starts_with("--") {
                return (flags, self.part(at, text.len()));
            }
            let (word, end) = unquoted(text, at, escape);
            if word == "--" {
                return (flags, self.part(end, text.len()));
            }
            flags.push(self.part(at, end).word_with(word));
            at = end;
        }
    }
}

/// Reads the word that starts at `start`, without quotes and escapes. Returns it and where it ends.
fn unquoted(text: &str, start: usize, escape: char) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text[start..].char_indices();
    while let Some((at, c)) = chars.next() {
        if c == escape {
            word.extend(chars.next().map(|(_, next)| next));
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && c.is_whitespace() {
            return (word, start + at);
        } else if quote.is_none() && matches!(c, '\'' | '"') {
            quote = Some(c);
        } else {
            word.push(c);
        }
    }
    (word, text.len())
}

/// The white space that separates words.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Sink;
    use crate::lexer::Lexer;

    fn line(text: &str) -> Logical {
        Lexer::new(text).instruction(&mut Sink::default()).expect("there is an instruction")
    }

    #[test]
    fn quoted_words_keep_their_quotes() {
        let line = line("a='b c'  d\\ e \"f\\\"g\" h\\");
        let words: Vec<_> =
            Fragment::new(&line).split_quoted('\\').into_iter().map(|it| it.text).collect();
        assert_eq!(words, ["a='b c'", "d\\ e", "\"f\\\"g\"", "h"]);
    }

    #[test]
    fn flags_end_at_the_first_other_word() {
        let text = "--a=b --c='d e' \\\n --\\f  g --h";
        let line = line(text);
        let (flags, rest) = Fragment::new(&line).split_flags('\\');
        let texts: Vec<_> = flags.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, ["--a=b", "--c=d e", "--f"]);
        assert_eq!(&text[flags[2].span.start..flags[2].span.end], "--\\f");
        assert_eq!(rest.text(), "g --h");
    }

    #[test]
    fn two_dashes_alone_end_the_flags() {
        let line = line("--a -- --b");
        let (flags, rest) = Fragment::new(&line).split_flags('\\');
        assert_eq!((flags.len(), rest.text()), (1, " --b"));
    }
}
