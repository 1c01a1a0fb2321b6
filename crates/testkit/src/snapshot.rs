//! Hides what differs from run to run, so that texts can be compared with a snapshot.

use std::path::Path;

use regex::Regex;

/// Replaces digests, short ids, times, durations, loopback ports, and `folder`'s path, each by its name in
/// brackets.
///
/// # Panics
///
/// Never: the patterns are constants, which a test compiles.
#[must_use]
pub fn hide(text: &str, folder: &Path) -> String {
    let mut text = text.replace(&folder.display().to_string(), "[folder]");
    for (pattern, name) in PATTERNS {
        let pattern = Regex::new(pattern).expect("the patterns are constants and tested");
        text = pattern.replace_all(&text, *name).into_owned();
    }
    text
}

const PATTERNS: &[(&str, &str)] = &[
    (r"sha256:[0-9a-f]{64}", "[digest]"),
    (r"\b[0-9a-f]{12}\b", "[id]"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "[time]"),
    (r"\b(localhost|127\.0\.0\.1):\d+", "$1:[port]"),
    (r"\b\d+(\.\d+)?(ms|µs|s)\b", "[duration]"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_hidden() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let text =
            format!("{digest} 0123456789ab 2026-11-23T05:06:07.8Z localhost:5000/x 1.25s /tmp/x/y");
        let wanted = "[digest] [id] [time] localhost:[port]/x [duration] [folder]/y";
        assert_eq!(hide(&text, Path::new("/tmp/x")), wanted);
    }
}
