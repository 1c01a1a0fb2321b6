//! Values of flags: pairs, sizes, hosts, and lists of keys.

use std::net::IpAddr;

use boxwright_core::{Error, ErrorKind, ExtraHost, HostAddress, Platform, Result, nearest};

use crate::app::parse;

/// Returns an error for a value of a flag.
pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

/// Takes `NAME=VALUE` apart, or `NAME` alone.
pub(super) fn pair<'a>(flag: &str, text: &'a str) -> Result<(&'a str, Option<&'a str>)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(wrong(format!("`{text}` is no value for `{flag}`"))
            .with_cause("the name before `=` is empty or has a space in it")
            .with_remedy(format!("write it as `{flag} NAME=VALUE`")));
    }
    Ok((name, value))
}

/// Parses platforms, each value one or several with commas. One that is named again counts once.
pub(super) fn platforms(values: &[String]) -> Result<Vec<Platform>> {
    let mut platforms = Vec::new();
    for text in values.iter().flat_map(|value| value.split(',')) {
        let platform: Platform = parse(text.trim())?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}

/// Parses a size such as `64m`. Units are binary, as `docker` has them.
pub(crate) fn size(text: &str) -> Result<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &lower[digits.len()..] {
        "" | "b" => Some(1.0),
        "k" | "kb" | "kib" => Some(1024.0),
        "m" | "mb" | "mib" => Some(1024.0 * 1024.0),
        "g" | "gb" | "gib" => Some(1024.0 * 1024.0 * 1024.0),
        _ => None,
    };
    let plain = digits.trim().bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = digits.trim().parse::<f64>().ok().filter(|_| plain);
    match (number, factor) {
        // The limit is far below where a float loses whole numbers.
        (Some(number), Some(factor)) if number > 0.0 && number * factor < 1e15 => {
            Ok((number * factor) as u64)
        }
        _ => Err(wrong(format!("`{text}` is not a size"))
            .with_remedy("write a number with a unit, such as `64m` or `1g`")),
    }
}

/// Parses `NAME:ADDRESS` or `NAME=ADDRESS`.
pub(super) fn extra_host(text: &str) -> Result<ExtraHost> {
    let no_host = || {
        wrong(format!("`{text}` is no value for `--add-host`"))
            .with_remedy("write it as NAME:ADDRESS, such as `db:10.0.0.7` or `host:host-gateway`")
    };
    let (name, address) = text.split_once(['=', ':']).ok_or_else(no_host)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(no_host());
    }
    let bare = address.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(address);
    let address = match bare {
        "host-gateway" => HostAddress::HostGateway,
        _ => HostAddress::Ip(bare.parse::<IpAddr>().map_err(|error| no_host().with_source(error))?),
    };
    Ok(ExtraHost { name: name.to_owned(), address })
}

/// Takes `a=1,b=2` apart. A key that is not among `known` is refused with the nearest one.
pub(super) fn keys<'a>(
    flag: &str,
    text: &'a str,
    known: &[&str],
) -> Result<Vec<(&'a str, &'a str)>> {
    let key = |part: &'a str| {
        let (name, value) = part.split_once('=').ok_or_else(|| {
            wrong(format!("`{part}` in `{flag} {text}` has no `=`"))
                .with_remedy(format!("write it as KEY=VALUE, with KEY one of {}", known.join(", ")))
        })?;
        if known.contains(&name) {
            return Ok((name, value));
        }
        let error = wrong(format!("unknown key `{name}` in `{flag} {text}`"));
        Err(match nearest(name, known) {
            Some(near) => error.with_remedy(format!("use `{near}`")),
            None => error.with_remedy(format!("use one of {}", known.join(", "))),
        })
    };
    text.split(',').map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary() {
        for (text, bytes) in
            [("64m", 64 << 20), ("1", 1), ("1.5G", 3 << 29), ("2 KiB", 2048), ("10b", 10)]
        {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "m", "-1m", "0", "1x", "1e9", "nan", "inf", "9999999999999g", "é"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_have_a_name_and_an_address() {
        let shown = |text| {
            let host = extra_host(text).unwrap();
            format!("{} {:?}", host.name, host.address)
        };
        assert_eq!(shown("db:10.0.0.7"), "db Ip(10.0.0.7)");
        assert_eq!(shown("db=::1"), "db Ip(::1)");
        assert_eq!(shown("db:[fe80::1]"), "db Ip(fe80::1)");
        assert_eq!(shown("up:host-gateway"), "up HostGateway");
        for bad in ["", "db", "db:", ":1.2.3.4", "d b:1.2.3.4", "db:host", "a\nb:1.2.3.4"] {
            assert!(extra_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_key_suggests_the_nearest() {
        let error = keys("--secret", "id=a,scr=b", &["id", "src"]).unwrap_err();
        assert_eq!(error.to_string(), "unknown key `scr` in `--secret id=a,scr=b`");
        assert_eq!(error.remedy(), Some("use `src`"));
        assert!(keys("--secret", "a", &["id"]).is_err());
    }

    #[test]
    fn pairs_have_a_name() {
        assert_eq!(pair("--label", "a=b=c").unwrap(), ("a", Some("b=c")));
        assert_eq!(pair("--label", "a").unwrap(), ("a", None));
        for bad in ["", "=x", "a b=c", "a\n=b"] {
            assert!(pair("--label", bad).is_err(), "{bad:?}");
        }
    }
}
