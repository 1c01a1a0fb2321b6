//! Here-documents: `<<EOF` and the lines that follow.

use crate::diagnostic::Span;
use crate::expand::{ExpandError, Expander, NoVariables, Quotes, Unset};

/// A here-document with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name, the line that ends it.
    pub name: String,
    /// The lines between, as they are in the file.
    pub content: String,
    /// Whether variables in it are expanded: its name was not quoted.
    pub expand: bool,
    /// Whether tabs at the start of its lines are taken off: it was opened by `<<-`.
    pub chomp: bool,
    /// The file descriptor before the `<<`, or 0.
    pub descriptor: u64,
    /// Where the content and the last line are.
    pub span: Span,
}

impl Document {
    /// Returns the content as it is used: without leading tabs if it was opened by `<<-`.
    #[must_use]
    pub fn text(&self) -> String {
        if self.chomp { without_leading_tabs(&self.content) } else { self.content.clone() }
    }
}

/// What opens a here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opener {
    /// Its name.
    pub name: String,
    /// Whether variables in it are expanded.
    pub expand: bool,
    /// Whether leading tabs are taken off.
    pub chomp: bool,
    /// The file descriptor before the `<<`, or 0.
    pub descriptor: u64,
}

impl Opener {
    /// Reads `text` as an opener and nothing else. Returns `None` if it is something else.
    ///
    /// # Errors
    ///
    /// The quotes of the name are unbalanced.
    pub fn parse(text: &str) -> Result<Option<Self>, ExpandError> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let Some(rest) = text[digits..].strip_prefix("<<") else { return Ok(None) };
        let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
        let rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        if rest.is_empty() || rest.contains('<') {
            return Ok(None);
        }
        let expander = Expander::new('\\').with_unset(Unset::Keep);
        let plain = expander.expand(rest, &NoVariables)?.words;
        let raw = expander.with_quotes(Quotes::Keep).expand(rest, &NoVariables)?.words;
        let ([name], [raw]) = (plain.as_slice(), raw.as_slice()) else { return Ok(None) };
        let quotes = |text: &str| text.matches(['\'', '"']).count();
        Ok(Some(Self {
            name: name.clone(),
            expand: quotes(name) == quotes(raw),
            chomp,
            descriptor: if digits == 0 { 0 } else { text[..digits].parse().unwrap_or(u64::MAX) },
        }))
    }

    /// Finds all openers in an instruction. A line that the shell would not understand has none.
    ///
    /// # Errors
    ///
    /// As [`Opener::parse`].
    pub fn all(line: &str) -> Result<Vec<Self>, ExpandError> {
        if !line.contains("<<") {
            return Ok(Vec::new());
        }
        let expander =
            Expander::new('\\').with_quotes(Quotes::Keep).keeping_escapes().with_unset(Unset::Keep);
        let words = expander.expand(line, &NoVariables).map(|it| it.words).unwrap_or_default();
        let openers = words.iter().map(|word| Self::parse(word));
        openers.filter_map(Result::transpose).collect()
    }
}

fn without_leading_tabs(text: &str) -> String {
    text.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Vec<String> {
        Opener::all(line).expect("it is right").into_iter().map(|it| it.name).collect()
    }

    #[test]
    fn openers_are_found_where_the_shell_finds_them() {
        assert_eq!(names("RUN <<A cat && 3<<-B"), ["A", "B"]);
        assert_eq!(names("RUN echo '<<A' \"<<B\" \\<<C"), Vec::<String>::new());
        assert_eq!(names("RUN echo <<  A  > f"), ["A"]);
        assert_eq!(names("RUN echo <<<A"), Vec::<String>::new());
        assert_eq!(names("RUN echo ' <<A"), Vec::<String>::new());
    }

    #[test]
    fn a_quoted_name_turns_expansion_off() {
        let one = |text: &str| Opener::parse(text).expect("it is right").expect("it is one");
        assert!(one("<<EOF").expand && !one("<<'EOF'").expand && !one("<<E\"O\"F").expand);
        assert_eq!(one("12<<-EOF").descriptor, 12);
        assert_eq!(one("<<'a b'").name, "a b");
        assert!(Opener::parse("<<'EOF").is_err());
    }

    #[test]
    fn leading_tabs_are_taken_off_each_line() {
        assert_eq!(without_leading_tabs("\t\ta\n b\t\n\t"), "a\n b\t\n");
    }
}
