//! The machine that walks over a word.

use std::iter::Peekable;
use std::str::Chars;

use super::{ExpandError, Expander, Expansion, MAX_DEPTH, Pattern, Quotes, Unset, Variables};

type Result<T> = std::result::Result<T, ExpandError>;

pub(super) struct Machine<'a> {
    rules: &'a Expander,
    variables: &'a dyn Variables,
    chars: Peekable<Chars<'a>>,
    keep_escapes: bool,
    depth: usize,
    found: Expansion,
}

/// What is written: the text, and the words it splits into.
#[derive(Default)]
struct Output {
    text: String,
    words: Vec<String>,
    word: String,
}

impl Output {
    /// Writes text that splits at white space.
    fn split(&mut self, text: &str) {
        self.text.push_str(text);
        for c in text.chars() {
            if !c.is_whitespace() {
                self.word.push(c);
            } else if !self.word.is_empty() {
                self.words.push(std::mem::take(&mut self.word));
            }
        }
    }

    /// Writes text that does not split.
    fn whole(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.push_str(text);
    }

    fn finish(mut self) -> (String, Vec<String>) {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        (self.text, self.words)
    }
}

impl<'a> Machine<'a> {
    pub(super) fn new(rules: &'a Expander, word: &'a str, variables: &'a dyn Variables) -> Self {
        let chars = word.chars().peekable();
        let keep_escapes = rules.keep_escapes;
        Self { rules, variables, chars, keep_escapes, depth: 0, found: Expansion::default() }
    }

    pub(super) fn run(mut self) -> Result<Expansion> {
        let (output, _) = self.until(None)?;
        (self.found.text, self.found.words) = output.finish();
        Ok(self.found)
    }

    /// Reads up to `stop`, or to the end. The second answer is whether `stop` was there.
    fn until(&mut self, stop: Option<char>) -> Result<(Output, bool)> {
        let mut output = Output::default();
        let quotes = self.rules.quotes != Quotes::Ignore;
        while let Some(&c) = self.chars.peek() {
            if Some(c) == stop {
                self.chars.next();
                self.rules.spend(output.text.len())?;
                return Ok((output, true));
            }
            match c {
                '\'' if quotes => output.whole(&self.single_quoted()?),
                '"' if quotes => output.whole(&self.double_quoted()?),
                '$' => output.split(&self.dollar()?),
                '<' => output.whole(&self.document_opener()),
                _ if c == self.rules.escape => output.whole(&self.escaped()),
                _ => {
                    self.chars.next();
                    output.split(c.encode_utf8(&mut [0; 4]));
                }
            }
        }
        self.rules.spend(output.text.len())?;
        Ok((output, false))
    }

    /// An escape character and what it escapes. At the very end it escapes nothing, and is dropped.
    fn escaped(&mut self) -> String {
        let escape = self.chars.next().filter(|_| self.keep_escapes);
        escape.into_iter().chain(self.chars.next()).collect()
    }

    fn single_quoted(&mut self) -> Result<String> {
        let mut text = String::new();
        self.quote(&mut text);
        while let Some(&c) = self.chars.peek() {
            if c == '\'' {
                self.quote(&mut text);
                return Ok(text);
            }
            text.extend(self.chars.next());
        }
        Err(open_quote('\''))
    }

    fn double_quoted(&mut self) -> Result<String> {
        let mut text = String::new();
        self.quote(&mut text);
        while let Some(&c) = self.chars.peek() {
            match c {
                '"' => {
                    self.quote(&mut text);
                    return Ok(text);
                }
                '$' => text.push_str(&self.dollar()?),
                _ if c == self.rules.escape => {
                    self.chars.next();
                    if self.keep_escapes {
                        text.push(c);
                    }
                    // Only these can be escaped in quotes; before others the escape character stays.
                    match self.chars.peek() {
                        None => {}
                        Some(&next) if next == '"' || next == '$' || next == c => {
                            text.extend(self.chars.next());
                        }
                        Some(_) => text.push(c),
                    }
                }
                _ => text.extend(self.chars.next()),
            }
        }
        Err(open_quote('"'))
    }

    /// Takes the quote that comes next, and writes it if quotes stay.
    fn quote(&mut self, text: &mut String) {
        let quote = self.chars.next();
        if self.rules.quotes == Quotes::Keep {
            text.extend(quote);
        }
    }

    /// `<<` belongs to the word after it, whatever white space is between.
    fn document_opener(&mut self) -> String {
        let mut text: String = self.chars.next().into_iter().collect();
        if self.chars.next_if_eq(&'<').is_some() {
            text.push('<');
            while let Some(space) = self.chars.next_if(|c| matches!(c, ' ' | '\t' | '\r')) {
                text.push(space);
            }
        }
        text
    }

    fn dollar(&mut self) -> Result<String> {
        self.chars.next();
        if self.chars.next_if_eq(&'{').is_some() {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(ExpandError::new(format!(
                    "`${{…}}` is nested deeper than {MAX_DEPTH}"
                ))
                .with_remedy("give the inner parts names with `ARG`"));
            }
            let text = self.braces()?;
            self.depth -= 1;
            self.rules.spend(text.len())?;
            return Ok(text);
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        let text = match self.value(&name) {
            None if self.rules.unset == Unset::Keep => format!("${name}"),
            value => value.unwrap_or_default().to_owned(),
        };
        self.rules.spend(text.len())?;
        Ok(text)
    }

    fn braces(&mut self) -> Result<String> {
        match self.chars.peek() {
            None => return Err(open_brace("")),
            Some('{' | '}' | ':') => {
                return Err(ExpandError::new("`${}` names no variable")
                    .with_remedy("write `${NAME}`, or escape the dollar sign"));
            }
            Some(_) => {}
        }
        let name = self.name();
        let Some(operator) = self.chars.next() else { return Err(open_brace(&name)) };
        match operator {
            '}' => Ok(match self.value(&name) {
                None if self.rules.unset == Unset::Keep => format!("${{{name}}}"),
                value => value.unwrap_or_default().to_owned(),
            }),
            ':' => {
                let Some(operator) = self.chars.next() else { return Err(open_brace(&name)) };
                if matches!(operator, '-' | '+' | '?') {
                    self.default(&name, operator, Empty::IsUnset)
                } else {
                    Err(no_operator(&name, &format!(":{operator}")))
                }
            }
            '-' | '+' | '?' => self.default(&name, operator, Empty::IsSet),
            '#' | '%' => self.trim(&name, operator),
            '/' => self.replace(&name),
            other => Err(no_operator(&name, other.encode_utf8(&mut [0; 4]))),
        }
    }

    /// `${x-y}`, `${x+y}`, `${x?y}` and the same with a colon.
    fn default(&mut self, name: &str, operator: char, empty: Empty) -> Result<String> {
        let word = self.rest('}', name, false)?;
        let value = self.look_up(name);
        if value.is_none() && self.rules.unset == Unset::Keep {
            let colon = if empty == Empty::IsUnset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let there = value.filter(|value| empty == Empty::IsSet || !value.is_empty());
        match (operator, there) {
            ('+', Some(_)) | ('-', None) => Ok(word),
            ('+', None) => Ok(String::new()),
            ('-' | '?', Some(there)) => Ok(there.to_owned()),
            (_, None) => {
                let state = if value.is_some() { "is empty" } else { "is not set" };
                let why = if word.is_empty() { String::new() } else { format!(": {word}") };
                Err(ExpandError::unset(format!("`{name}` {state}{why}"))
                    .with_remedy(format!("pass `--build-arg {name}=…`, or give it a value above")))
            }
            (_, Some(_)) => unreachable!("the caller passes these three operators alone"),
        }
    }

    /// `${x#p}`, `${x##p}`, `${x%p}`, `${x%%p}`.
    fn trim(&mut self, name: &str, operator: char) -> Result<String> {
        let word = self.rest('}', name, true)?;
        let Some(value) = self.value(name) else {
            return Ok(self.unset(|| format!("${{{name}{operator}{word}}}")));
        };
        let (pattern, greedy) = match word.strip_prefix(operator) {
            Some(pattern) => (pattern, true),
            None => (word.as_str(), false),
        };
        self.rules.spend(Pattern::cost(pattern, value))?;
        if operator == '#' {
            Pattern::prefix(pattern, greedy).map(|it| it.without_prefix(value).to_owned())
        } else {
            Pattern::suffix(pattern, greedy).map(|it| it.without_suffix(value))
        }
    }

    /// `${x/p/r}` and `${x//p/r}`.
    fn replace(&mut self, name: &str) -> Result<String> {
        let all = self.chars.next_if_eq(&'/').is_some();
        let pattern = self.rest('/', name, true)?;
        let replacement = self.rest('}', name, true)?;
        let Some(value) = self.value(name) else {
            return Ok(self.unset(|| format!("${{{name}/{pattern}/{replacement}}}")));
        };
        self.rules.spend(Pattern::cost(&pattern, value))?;
        let pattern = Pattern::anywhere(&pattern)?;
        let room = |size: usize| self.rules.spend(size);
        if all {
            pattern.replace_all(value, &replacement, room)
        } else {
            Ok(pattern.replace(value, &replacement))
        }
    }

    fn unset(&self, written: impl FnOnce() -> String) -> String {
        if self.rules.unset == Unset::Keep { written() } else { String::new() }
    }

    /// Reads what comes up to `stop` inside of `${name…}`.
    fn rest(&mut self, stop: char, name: &str, keep_escapes: bool) -> Result<String> {
        let before = std::mem::replace(&mut self.keep_escapes, keep_escapes);
        let answer = self.until(Some(stop));
        self.keep_escapes = before;
        match answer? {
            (output, true) => Ok(output.text),
            (_, false) => Err(open_brace(name)),
        }
    }

    /// Reads a name: letters, digits and underscores; or digits alone; or one special parameter.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.chars.peek() {
            Some(c) if c.is_numeric() => {
                while let Some(digit) = self.chars.next_if(|c| c.is_numeric()) {
                    name.push(digit);
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => name.extend(self.chars.next()),
            _ => {
                while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    name.push(c);
                }
            }
        }
        name
    }

    fn value(&mut self, name: &str) -> Option<&'a str> {
        let value = self.look_up(name);
        if value.is_none() && !self.found.missing.contains(name) {
            self.found.missing.insert(name.to_owned());
        }
        value
    }

    fn look_up(&mut self, name: &str) -> Option<&'a str> {
        let value = self.variables.value(name);
        let asked =
            if value.is_some() { &mut self.found.matched } else { &mut self.found.unmatched };
        if !asked.contains(name) {
            asked.insert(name.to_owned());
        }
        value
    }
}

/// What an empty value counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    IsSet,
    IsUnset,
}

fn open_quote(quote: char) -> ExpandError {
    ExpandError::new(format!("the quote `{quote}` is not closed"))
        .with_remedy("close it, or escape it if it is meant as a character")
}

fn open_brace(name: &str) -> ExpandError {
    ExpandError::new(format!("`${{{name}` is not closed")).with_remedy("close it with `}`")
}

fn no_operator(name: &str, operator: &str) -> ExpandError {
    ExpandError::new(format!("`{operator}` is no operator of `${{{name}…}}`"))
        .with_remedy("use one of `:-`, `:+`, `:?`, `-`, `+`, `?`, `#`, `##`, `%`, `%%`, `/`, `//`")
}
