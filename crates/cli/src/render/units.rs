//! Sizes, times and ages, as people read them.

use std::time::Duration;

use boxwright_core::Digest;

/// Returns a number of bytes in decimal units, as `12.3 MB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) * 10 / 1000;
    for unit in UNITS {
        // One more division would leave less than a whole one.
        if tenths < 10_000 {
            return match tenths {
                0..1000 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
                _ => format!("{} {unit}", tenths / 10),
            };
        }
        tenths /= 1000;
    }
    format!("{count} B")
}

/// Returns a stretch of time, as `0.4s`, `1m 03s` or `2h 05m`.
pub(crate) fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{}.{}s", seconds, time.subsec_millis() / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Returns how long ago something was, in its largest unit: `3 hours ago`.
pub(crate) fn age(seconds: i64) -> String {
    const UNITS: [(i64, &str); 6] = [
        (365 * 86_400, "year"),
        (30 * 86_400, "month"),
        (7 * 86_400, "week"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
    ];
    for (length, unit) in UNITS {
        let count = seconds / length;
        if count >= 1 {
            let plural = if count == 1 { "" } else { "s" };
            return format!("{count} {unit}{plural} ago");
        }
    }
    "just now".to_owned()
}

/// Returns the first twelve digits of an image's id, as `docker` shows them and every command takes them.
pub(crate) fn short_id(id: &Digest) -> String {
    let digits = id.as_str().split_once(':').map_or(id.as_str(), |(_, digits)| digits);
    digits.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_at_most_three_digits_and_a_unit() {
        for (count, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (12_345, "12.3 kB"),
            (123_456_789, "123 MB"),
            (1_000_000_000, "1.0 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }

    #[test]
    fn times_and_ages_read_well() {
        assert_eq!(elapsed(Duration::from_millis(59_990)), "59.9s");
        assert_eq!(elapsed(Duration::from_secs(63)), "1m 03s");
        assert_eq!(elapsed(Duration::from_secs(7_500)), "2h 05m");
        assert_eq!(
            (age(-5), age(59), age(61)),
            ("just now".into(), "just now".into(), "1 minute ago".into())
        );
        assert_eq!(age(3 * 86_400), "3 days ago");
    }
}
