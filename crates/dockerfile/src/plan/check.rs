//! Values that are checked once variables are expanded: users, modes, signals, ports, checksums.

use std::net::IpAddr;

/// The highest user and group id. Higher ones wrap around in some runtimes, up to root.
const MAX_ID: u32 = i32::MAX as u32;

/// Checks `USER[:GROUP]`: a number must be an id.
pub(super) fn user(text: &str) -> Result<(), String> {
    for part in text.split(':') {
        let digits = part.strip_prefix(['-', '+']).unwrap_or(part);
        let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
        if is_number
            && part.parse::<u32>().ok().is_none_or(|id| id > MAX_ID || part.starts_with('+'))
        {
            return Err(format!("`{part}` is no id from 0 to {MAX_ID}"));
        }
    }
    Ok(())
}

/// Reads permission bits in octal. Returns `None` for changes such as `u+x`.
pub(super) fn mode(text: &str) -> Result<Option<u32>, String> {
    if let Ok(bits) = u32::from_str_radix(text, 8) {
        if bits > 0o7777 || text.starts_with('+') {
            return Err(format!("`{text}` is no mode from 0 to 07777"));
        }
        return Ok(Some(bits));
    }
    if !text.is_empty() && text.split(',').all(is_change) {
        return Ok(None);
    }
    Err(format!("`{text}` is no mode"))
}

/// `[ugoa…][+-=][rwxXst…|u|g|o]…`
fn is_change(text: &str) -> bool {
    let actions = text.trim_start_matches(['u', 'g', 'o', 'a']);
    if !actions.starts_with(['+', '-', '=']) {
        return false;
    }
    actions
        .split(['+', '-', '='])
        .skip(1)
        .all(|bits| bits.chars().all(|c| "rwxXst".contains(c)) || matches!(bits, "u" | "g" | "o"))
}

/// Checks a signal: its number, or its name with or without `SIG`.
pub(super) fn signal(text: &str) -> Result<(), String> {
    const NAMES: &[&str] = &[
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM",
        "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
        "RTMIN", "RTMAX",
    ];
    if let Ok(number) = text.parse::<i64>() {
        return if number == 0 { Err("`0` is no signal".to_owned()) } else { Ok(()) };
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |prefix: &str, limit: u32| {
        let rest = name.strip_prefix(prefix).and_then(|rest| rest.parse::<u32>().ok());
        rest.is_some_and(|offset| (1..=limit).contains(&offset))
    };
    if NAMES.contains(&name) || offset("RTMIN+", 15) || offset("RTMAX-", 14) {
        return Ok(());
    }
    Err(format!("`{text}` is no signal"))
}

/// Reads a port as `EXPOSE` takes it, `[[IP:]HOST:]PORT[-PORT][/PROTOCOL]`, into first port, last port and protocol.
pub(super) fn ports(text: &str) -> Result<(u16, u16, String), String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (address, host, container) = match parts.as_slice() {
        [container] => (String::new(), "", *container),
        [host, container] => (String::new(), *host, *container),
        [address @ .., host, container] => (address.join(":"), *host, *container),
        [] => (String::new(), "", ""),
    };
    let (port, protocol) = container.split_once('/').unwrap_or((container, ""));
    if port.is_empty() {
        return Err(format!("`{text}` names no port"));
    }
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_lowercase() };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("`{protocol}` is none of `tcp`, `udp`, `sctp`"));
    }
    let plain = address.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(&address);
    if !plain.is_empty() && plain.parse::<IpAddr>().is_err() {
        return Err(format!("`{address}` is no address"));
    }
    let (first, last) =
        range(port).ok_or_else(|| format!("`{port}` is no port from 0 to 65535"))?;
    if !host.is_empty() {
        let (start, end) =
            range(host).ok_or_else(|| format!("`{host}` is no port from 0 to 65535"))?;
        if first != last && last - first != end - start {
            return Err(format!("`{host}` and `{port}` are not equally many ports"));
        }
    }
    Ok((first, last, protocol))
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// Checks `ALGORITHM:HEX`, the digest of a download.
pub(super) fn digest(text: &str) -> Result<(), String> {
    let length = match text.split_once(':') {
        Some(("sha256", _)) => 64,
        Some(("sha384", _)) => 96,
        Some(("sha512", _)) => 128,
        _ => return Err(format!("`{text}` is no digest")),
    };
    let hex = text.split_once(':').map_or("", |(_, hex)| hex);
    let is_hex = hex.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it));
    if hex.len() == length && is_hex { Ok(()) } else { Err(format!("`{text}` is no digest")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_out_of_range_are_refused_threat_12() {
        for text in ["root", "0", "1000:1000", "app:app", "", "2147483647", "1a"] {
            assert_eq!(user(text), Ok(()), "{text}");
        }
        for text in ["4294967296", "2147483648", "-1", "0:4294967296", "+1", "99999999999999999999"]
        {
            assert!(user(text).is_err(), "{text}");
        }
    }

    #[test]
    fn modes_are_octal_or_changes() {
        assert_eq!(mode("0755"), Ok(Some(0o755)));
        for text in ["u+x", "a=rX,go-w", "+x", "u=rwx,g=u,o=", "ug+s-w"] {
            assert_eq!(mode(text), Ok(None), "{text}");
        }
        for text in ["10000", "888", "", "u", "u+q", "x+u", "u+rg", "-1", "+7"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn signals_are_known_names_and_numbers() {
        for text in ["SIGTERM", "quit", "9", "SIGRTMIN+3", "RTMAX-1"] {
            assert_eq!(signal(text), Ok(()), "{text}");
        }
        for text in ["0", "SIGNOPE", "", "RTMIN+16"] {
            assert!(signal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_have_ranges_and_protocols() {
        assert_eq!(ports("80"), Ok((80, 80, "tcp".into())));
        assert_eq!(ports("8000-8010/UDP"), Ok((8000, 8010, "udp".into())));
        assert_eq!(ports("127.0.0.1:1-2:3-4/sctp"), Ok((3, 4, "sctp".into())));
        for text in ["", "80/icmp", "90-80", "65536", "1-2:3-5", "nowhere:1:2", "x"] {
            assert!(ports(text).is_err(), "{text}");
        }
    }
}
