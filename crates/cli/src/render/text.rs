//! Text from outside, made fit for a terminal, and bytes cut into lines.

/// A line longer than this is shown cut: it is no text for people.
const LONGEST_LINE: usize = 8 * 1024;

/// Returns `text` without escape sequences and control characters, on one line.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in console::strip_ansi_codes(text).chars() {
        match c {
            '\t' => out.push_str("    "),
            '\n' | '\r' => out.push(' '),
            // Marks that turn the writing direction could make a line read as another one.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Cuts a stream of bytes into lines. Of a line that was overwritten by carriage returns, as progress
/// bars are, what was written last remains.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes bytes, and returns the lines that they complete, cleaned.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte == b'\n' || self.rest.len() >= LONGEST_LINE {
                lines.push(self.take());
            }
            if byte != b'\n' {
                self.rest.push(byte);
            }
        }
        lines
    }

    /// Returns what there is of an unfinished line, unless it is blank.
    pub(crate) fn unfinished(&self) -> Option<String> {
        let text = last_writing(&self.rest);
        (!text.trim().is_empty()).then_some(text)
    }

    /// Ends an unfinished line.
    pub(crate) fn end(&mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let text = last_writing(&self.rest);
        self.rest.clear();
        text
    }
}

fn last_writing(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\r');
    clean(text.rsplit('\r').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_taken_out() {
        assert_eq!(clean("\x1b[2J\x1b]0;title\x07a\tb\u{7}\u{202e}c\nd"), "a    bc d");
    }

    #[test]
    fn lines_may_come_in_pieces() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"on"), Vec::<String>::new());
        assert_eq!(lines.unfinished().as_deref(), Some("on"));
        assert_eq!(lines.push(b"e\ntwo\r\n\xc3"), ["one", "two"]);
        assert_eq!(lines.push(b"\xa9\n"), ["é"]);
        assert_eq!(lines.push(b"10%\r50%\r99%"), Vec::<String>::new());
        assert_eq!(lines.unfinished().as_deref(), Some("99%"));
        assert_eq!(lines.end().as_deref(), Some("99%"));
        assert_eq!(lines.end(), None);
    }

    #[test]
    fn a_line_without_an_end_does_not_grow() {
        let mut lines = Lines::default();
        let pieces = lines.push(&vec![b'x'; 3 * LONGEST_LINE]);
        assert_eq!(pieces.len(), 2);
        assert!(lines.rest.len() <= LONGEST_LINE);
    }
}
