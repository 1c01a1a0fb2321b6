//! The shell's syntax: commands joined by `;`, `&&`, `||` and line ends; words with quotes; redirections.

/// How a command hangs on the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    Always,
    And,
    Or,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(Vec<Part>),
    Redirect(Redirection, Vec<Part>),
    StdoutToStderr,
    StderrToStdout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirection {
    Input,
    Output { appends: bool },
    Error { appends: bool },
}

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text { text: String, is_quoted: bool },
    Variable(String),
    Script(String),
}

/// Splits a script into its commands.
pub(super) fn commands(script: &str) -> Vec<(Joint, Vec<Token>)> {
    let script = script.replace("\\\n", " ");
    let mut reader = Reader { rest: script.chars().collect::<Vec<_>>(), at: 0 };
    let (mut commands, mut joint, mut command) = (Vec::new(), Joint::Always, Vec::new());
    loop {
        reader.skip_blanks();
        let next = match reader.peek() {
            None => None,
            Some(';' | '\n') => Some((1, Joint::Always)),
            Some('&') if reader.follows("&&") => Some((2, Joint::And)),
            Some('|') if reader.follows("||") => Some((2, Joint::Or)),
            Some('#') => {
                while reader.peek().is_some_and(|c| c != '\n') {
                    reader.at += 1;
                }
                continue;
            }
            Some(_) => {
                command.push(reader.token());
                continue;
            }
        };
        if !command.is_empty() {
            commands.push((joint, std::mem::take(&mut command)));
        }
        let Some((length, after)) = next else { return commands };
        reader.at += length;
        joint = after;
    }
}

struct Reader {
    rest: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn follows(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(n, c)| self.rest.get(self.at + n) == Some(&c))
    }

    fn takes(&mut self, text: &str) -> bool {
        let follows = self.follows(text);
        if follows {
            self.at += text.chars().count();
        }
        follows
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\r')) {
            self.at += 1;
        }
    }

    fn token(&mut self) -> Token {
        if self.takes("2>&1") {
            return Token::StderrToStdout;
        }
        if self.takes("1>&2") || self.takes(">&2") {
            return Token::StdoutToStderr;
        }
        let redirection = [
            ("2>>", Redirection::Error { appends: true }),
            ("2>", Redirection::Error { appends: false }),
            (">>", Redirection::Output { appends: true }),
            (">", Redirection::Output { appends: false }),
            ("<", Redirection::Input),
        ];
        for (text, redirection) in redirection {
            if self.takes(text) {
                self.skip_blanks();
                return Token::Redirect(redirection, self.word());
            }
        }
        Token::Word(self.word())
    }

    fn word(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut quote: Option<char> = None;
        while let Some(c) = self.peek() {
            let is_quoted = quote.is_some();
            match (c, quote) {
                (c, Some(open)) if c == open => quote = None,
                ('\'' | '"', None) => {
                    quote = Some(c);
                    parts.push(Part::Text { text: String::new(), is_quoted: true });
                }
                (' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '>' | '<', None) => break,
                ('\\', None | Some('"')) => {
                    self.at += 1;
                    let text = self.peek().map(String::from).unwrap_or_default();
                    parts.push(Part::Text { text, is_quoted });
                }
                ('$', None | Some('"')) => {
                    self.at += 1;
                    parts.push(self.dollar());
                    continue;
                }
                (c, _) => parts.push(Part::Text { text: c.into(), is_quoted }),
            }
            self.at += 1;
        }
        parts
    }

    /// Reads what follows a `$`.
    fn dollar(&mut self) -> Part {
        match self.peek() {
            Some('(') => Part::Script(self.enclosed('(', ')')),
            Some('{') => Part::Variable(self.enclosed('{', '}')),
            _ => {
                let mut name = String::new();
                while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.at += 1;
                }
                if name.is_empty() {
                    return Part::Text { text: "$".into(), is_quoted: false };
                }
                Part::Variable(name)
            }
        }
    }

    fn enclosed(&mut self, open: char, close: char) -> String {
        let (mut depth, mut inside) = (0, String::new());
        while let Some(c) = self.take() {
            depth += i32::from(c == open) - i32::from(c == close);
            if depth == 0 {
                break;
            }
            inside.push(c);
        }
        // The first character is the opening one.
        inside.split_off(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_joined_and_words_have_parts() {
        let all = commands("echo \"a $b\" 'c d' > /x && exit 3 || echo $(cat /x); true # end");
        let joints: Vec<_> = all.iter().map(|(joint, _)| *joint).collect();
        assert_eq!(joints, [Joint::Always, Joint::And, Joint::Or, Joint::Always]);
        assert_eq!(all[0].1.len(), 4);
        let Token::Word(parts) = &all[2].1[1] else { panic!("{:?}", all[2]) };
        assert_eq!(parts, &[Part::Script("cat /x".into())]);
    }
}
