//! Physical lines of a file, with the byte offsets they have in it.

use std::ops::Range;

/// The longest line that a Dockerfile may have, in bytes without its line feed. BuildKit refuses longer ones.
pub(crate) const MAX_LINE: usize = 65_535;

/// One physical line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Offset of the first byte in the file.
    pub(crate) start: usize,
    /// The line with its line ending, if it has one.
    pub(crate) raw: &'a str,
}

impl<'a> Line<'a> {
    /// The line without its line ending: all carriage returns and line feeds at its end.
    pub(crate) fn content(&self) -> &'a str {
        self.raw.trim_end_matches(['\r', '\n'])
    }

    /// Where the content is in the file.
    pub(crate) fn content_range(&self) -> Range<usize> {
        self.start..self.start + self.content().len()
    }

    /// Whether the line is longer than a Dockerfile's may be.
    pub(crate) fn is_too_long(&self) -> bool {
        self.raw.strip_suffix('\n').unwrap_or(self.raw).len() > MAX_LINE
    }
}

/// Splits `text` into lines, counting offsets from `start`.
pub(crate) fn lines(text: &str, start: usize) -> impl Iterator<Item = Line<'_>> {
    let mut offset = start;
    text.split_inclusive('\n').map(move |raw| {
        let line = Line { start: offset, raw };
        offset += raw.len();
        line
    })
}

/// Takes the byte-order mark off the start of `text`.
pub(crate) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_offsets_and_endings() {
        let all: Vec<_> = lines("a\r\nbc\n\nd", 10).collect();
        assert_eq!(all.iter().map(|l| l.start).collect::<Vec<_>>(), [10, 13, 16, 17]);
        assert_eq!(all.iter().map(Line::content).collect::<Vec<_>>(), ["a", "bc", "", "d"]);
        assert_eq!(all[1].content_range(), 13..15);
    }

    #[test]
    fn a_line_of_the_greatest_length_is_not_too_long() {
        let line = |length: usize| format!("{}\n", "x".repeat(length));
        assert!(!Line { start: 0, raw: &line(MAX_LINE) }.is_too_long());
        assert!(Line { start: 0, raw: &line(MAX_LINE + 1) }.is_too_long());
    }
}
