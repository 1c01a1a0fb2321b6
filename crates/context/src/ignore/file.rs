//! The ignore file: text to patterns.

use super::clean::clean;

/// Returns the cleaned patterns of an ignore file, in its order.
///
/// ```
/// use boxwright_context::ignore;
///
/// let patterns = ignore::parse("# build results\n/target/\n! target/keep \n");
/// assert_eq!(patterns, ["target", "!target/keep"]);
/// ```
#[must_use]
pub fn parse(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A comment begins in the first column; before anything else is trimmed.
    text.lines().filter(|line| !line.starts_with('#')).filter_map(pattern).collect()
}

fn pattern(line: &str) -> Option<String> {
    let line = line.trim();
    if line.is_empty() {
        return None;
    }
    let (mark, rest) = match line.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None => ("", line),
    };
    if rest.is_empty() {
        return Some(mark.to_owned());
    }
    let cleaned = clean(rest);
    let below_root = cleaned.strip_prefix('/').filter(|rest| !rest.is_empty());
    Some(format!("{mark}{}", below_root.unwrap_or(&cleaned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blanks_marks_and_slashes() {
        let text = "\u{feff}# first\r\n\r\n  a \r\n #not a comment\n!/b/../c/\n/\n!\n./d//e";
        assert_eq!(parse(text), ["a", "#not a comment", "!c", "/", "!", "d/e"]);
    }
}
