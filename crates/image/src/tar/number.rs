//! Numbers in tar headers: octal, base 256, and PAX decimals.

/// Reads a numeric field: octal digits between spaces and NULs, or base 256 when its first bit is set.
pub(super) fn parse(field: &[u8]) -> Option<i64> {
    if field.first().is_some_and(|first| first & 0x80 != 0) {
        return parse_base_256(field);
    }
    let start = field.iter().position(|&b| b != b' ').unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(|&b| b == 0 || b == b' ').unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if !rest.iter().all(|&b| b == 0 || b == b' ') {
        return None;
    }
    digits.iter().try_fold(0_i64, |value, &digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

// A GNU extension: big-endian two's complement; the first byte's first bit marks it, its second is the sign.
fn parse_base_256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let mut value: i128 = if negative { -1 } else { 0 };
    for (index, &byte) in field.iter().enumerate() {
        let byte = match (index, negative) {
            (0, false) => byte & 0x7f,
            _ => byte,
        };
        value = (value << 8) | i128::from(byte);
        if value > i128::from(i64::MAX) || value < i128::from(i64::MIN) {
            return None;
        }
    }
    i64::try_from(value).ok()
}

/// Writes `value` as octal digits and a NUL, or returns `false` if it does not fit.
pub(super) fn write_octal(field: &mut [u8], value: u64) -> bool {
    let width = field.len() - 1;
    let digits = format!("{value:0width$o}");
    if digits.len() > width {
        return false;
    }
    field[..width].copy_from_slice(digits.as_bytes());
    field[width] = 0;
    true
}

/// Reads a PAX time: decimal seconds with an optional fraction, finer than nanoseconds cut off.
pub(super) fn parse_time(text: &str) -> Option<(i64, u32)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanoseconds: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

/// Writes a PAX time, with as many decimals as it needs.
pub(super) fn time_text((seconds, nanoseconds): (i64, u32)) -> String {
    if nanoseconds == 0 {
        return seconds.to_string();
    }
    let (sign, seconds, nanoseconds) = if seconds < 0 {
        ("-", -(seconds + 1), 1_000_000_000 - nanoseconds)
    } else {
        ("", seconds, nanoseconds)
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_fields_end_in_spaces_or_nul_and_hold_nothing_else() {
        assert_eq!(parse(b"0000644\0"), Some(0o644));
        assert_eq!(parse(b"   644 \0"), Some(0o644));
        assert_eq!(parse(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(parse(b"777777777777"), Some(0o777_777_777_777));
        for bad in [&b"0000648\0"[..], b"-000644\0", b"644\0 64\0", b"0x1\0"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn base_256_takes_negative_and_refuses_overflow() {
        assert_eq!(parse(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]), Some(2 << 32));
        assert_eq!(parse(&[0xff; 12]), Some(-1));
        assert_eq!(parse(&[0x80, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(parse(&[0xbf; 12]), None);
    }

    #[test]
    fn times_before_1970_and_after_2038_survive_threat_45() {
        for time in [(0, 0), (-1, 0), (-1, 5), (-2, 500_000_000), (1 << 40, 1), (7, 120_000_000)] {
            assert_eq!(parse_time(&time_text(time)), Some(time), "{}", time_text(time));
        }
        assert_eq!(parse_time("-0.5"), Some((-1, 500_000_000)));
        assert_eq!(parse_time("1.0000000009"), Some((1, 0)));
        for bad in ["", ".5", "1.5.5", "1e9", "--1", "+1", "nan", "99999999999999999999"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }
}
