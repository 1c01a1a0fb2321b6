//! The time that a build has: the clock's, or `SOURCE_DATE_EPOCH`.

use std::time::{SystemTime, UNIX_EPOCH};

use boxwright_core::{BuildRequest, Error, ErrorKind, Host, Result};

const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Returns `SOURCE_DATE_EPOCH`, of the build arguments or else of the environment. A reproducible build has 0 without.
pub(crate) fn source_date_epoch(request: &BuildRequest, host: &Host) -> Result<Option<i64>> {
    let given = request.build_args.get(EPOCH).map(String::as_str).or_else(|| host.variable(EPOCH));
    let Some(text) = given.filter(|text| !text.is_empty()) else {
        return Ok(request.reproducible.then_some(0));
    };
    // The last second of the year 9999, the last that RFC 3339 can write.
    match text.parse().ok().filter(|seconds| (0..=253_402_300_799).contains(seconds)) {
        Some(seconds) => Ok(Some(seconds)),
        None => {
            Err(Error::new(ErrorKind::InvalidInput, format!("`{text}` is no value of `{EPOCH}`"))
                .with_cause("it is not a number of seconds since 1970")
                .with_remedy("set it to what `git log -1 --format=%ct` prints"))
        }
    }
}

/// Returns the clock's time in seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

/// Writes a time as RFC 3339 does, in UTC.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Turns days since 1970 into a date of the Gregorian calendar, by eras of 400 years that begin in March.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::ContextSource;

    #[test]
    fn times_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }

    #[test]
    fn an_epoch_that_is_no_number_is_refused_threat_45() {
        let host = Host::with_variables("/", [("SOURCE_DATE_EPOCH", "5")]);
        let mut request = BuildRequest::new(ContextSource::Empty);
        assert_eq!(source_date_epoch(&request, &host).unwrap(), Some(5));
        request.reproducible = true;
        assert_eq!(source_date_epoch(&request, &host).unwrap(), Some(5));
        assert_eq!(
            source_date_epoch(&request, &Host::with_variables::<String, String>("/", [])).unwrap(),
            Some(0)
        );
        for bad in ["soon", "-1", "1.5", "99999999999999999999", "253402300800"] {
            request.build_args.insert(EPOCH.into(), bad.into());
            let error = source_date_epoch(&request, &host).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}");
        }
    }
}
