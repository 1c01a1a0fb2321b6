//! Lengths of time as Go writes them: `30s`, `1m30s`, `1.5h`.

use crate::diagnostic::{Diagnostic, Sink};
use crate::fragment::Word;

/// The shortest time that a health check takes, one millisecond.
const SHORTEST: u64 = 1_000_000;

/// Reads the value of the flag `name`, in nanoseconds. Nothing and zero mean the default.
pub(super) fn read(word: &Word, name: &str, sink: &mut Sink) -> Option<u64> {
    let problem = |message: String| {
        Diagnostic::error(word.span, message)
            .with_remedy(format!("write a number and a unit: `--{name}=30s`, `--{name}=1m30s`"))
    };
    if word.text.is_empty() {
        return Some(0);
    }
    match nanoseconds(&word.text) {
        None => sink.push(problem(format!("`{}` is not a length of time", word.text))),
        Some(0) => return Some(0),
        Some(time) if time < SHORTEST => {
            sink.push(problem(format!("`{}` is shorter than one millisecond", word.text)));
        }
        Some(time) => return Some(time),
    }
    None
}

fn nanoseconds(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(0);
    }
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let number =
            rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let unit = rest[number..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(rest.len(), |at| number + at);
        let scale: u64 = match &rest[number..unit] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(scaled(&rest[..number], scale)?)?;
        rest = &rest[unit..];
    }
    (!text.is_empty() && i64::try_from(total).is_ok()).then_some(total)
}

fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.checked_mul(scale)? };
    let mut part = scale;
    let mut rest = 0;
    for digit in fraction.bytes() {
        part /= 10;
        rest += part * u64::from(digit - b'0');
    }
    whole.checked_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_go_does() {
        for (text, expected) in [
            ("30s", Some(30_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("100µs", Some(100_000)),
            ("0", Some(0)),
            ("30", None),
            ("s", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("1x", None),
            ("", None),
            ("99999999999h", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }
}
