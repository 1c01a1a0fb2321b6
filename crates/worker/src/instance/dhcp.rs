//! The messages of DHCP, as far as one client needs them. Pure. Source: RFC 2131 and RFC 2132.

use std::net::Ipv4Addr;

/// Marks what follows as options.
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// Where options begin, after the fixed fields and the cookie.
const OPTIONS: usize = 240;

/// What servers take for the shortest message.
const SHORTEST: usize = 300;

/// Kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Acknowledge = 5,
    Refuse = 6,
}

/// What a client asks.
#[derive(Clone, Debug)]
pub(super) struct Question<'a> {
    pub(super) kind: Kind,
    /// Its number, which the answer repeats.
    pub(super) number: u32,
    pub(super) hardware: [u8; 6],
    /// What the client calls itself.
    pub(super) name: &'a str,
    /// The address that it has already, and wants to keep.
    pub(super) current: Option<Ipv4Addr>,
    /// The address that was offered, and by whom.
    pub(super) offered: Option<(Ipv4Addr, Ipv4Addr)>,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) server: Option<Ipv4Addr>,
    pub(super) lease: Lease,
}

/// An address with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) address: Ipv4Addr,
    /// The bits of the network's part.
    pub(super) prefix: u8,
    /// The way out.
    pub(super) router: Option<Ipv4Addr>,
    /// Who answers names.
    pub(super) servers: Vec<Ipv4Addr>,
    /// Where names without a dot are looked up.
    pub(super) domain: Option<String>,
    /// For how many seconds it is the client's.
    pub(super) seconds: u32,
}

impl Question<'_> {
    /// Returns the bytes that are sent.
    pub(super) fn bytes(&self) -> Vec<u8> {
        // A question, on Ethernet, and the answer is to go to all: there may be no address to send it to yet.
        let mut bytes = vec![1, 1, 6, 0];
        bytes.extend(self.number.to_be_bytes());
        bytes.extend([0, 0, 0x80, 0]);
        bytes.extend(self.current.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        bytes.resize(28, 0);
        bytes.extend(self.hardware);
        bytes.resize(OPTIONS - COOKIE.len(), 0);
        bytes.extend(COOKIE);
        bytes.extend([53, 1, self.kind as u8]);
        if let Some((address, server)) = self.offered {
            bytes.extend([50, 4]);
            bytes.extend(address.octets());
            bytes.extend([54, 4]);
            bytes.extend(server.octets());
        }
        let name = self.name.as_bytes();
        if let Some(length) =
            u8::try_from(name.len()).ok().filter(|length| (1..=63).contains(length))
        {
            bytes.extend([12, length]);
            bytes.extend(name);
        }
        // The mask, the router, the servers of names, the domain, and for how long.
        bytes.extend([55, 5, 1, 3, 6, 15, 51, 255]);
        if bytes.len() < SHORTEST {
            bytes.resize(SHORTEST, 0);
        }
        bytes
    }

    /// Reads an answer to this question, or `None` if it is none.
    pub(super) fn answer(&self, bytes: &[u8]) -> Option<Answer> {
        let fits = bytes.first() == Some(&2)
            && bytes.get(4..8) == Some(&self.number.to_be_bytes())
            && bytes.get(28..34) == Some(&self.hardware)
            && bytes.get(OPTIONS - COOKIE.len()..OPTIONS) == Some(&COOKIE);
        if !fits {
            return None;
        }
        let mut kind = None;
        let mut server = None;
        let mut lease = Lease {
            address: address(&bytes[16..20])?,
            prefix: 24,
            router: None,
            servers: Vec::new(),
            domain: None,
            seconds: 3600,
        };
        for (code, value) in options(&bytes[OPTIONS..]) {
            match code {
                53 => kind = kind_of(value),
                54 => server = address(value),
                1 => lease.prefix = u8::try_from(u32::from(address(value)?).leading_ones()).ok()?,
                3 => lease.router = value.get(..4).and_then(address),
                6 => lease.servers = value.chunks(4).filter_map(address).collect(),
                15 => lease.domain = domain(value),
                51 => lease.seconds = u32::from_be_bytes(value.try_into().ok()?),
                _ => {}
            }
        }
        Some(Answer { kind: kind?, server, lease })
    }
}

/// Returns the options with their values, until their end or what is cut short.
fn options(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        while let [0, rest @ ..] = bytes {
            bytes = rest;
        }
        let (&code, rest) = bytes.split_first().filter(|(code, _)| **code != 255)?;
        let (&length, rest) = rest.split_first()?;
        let value = rest.get(..length.into())?;
        bytes = &rest[length.into()..];
        Some((code, value))
    })
}

fn kind_of(value: &[u8]) -> Option<Kind> {
    Some(match value {
        [2] => Kind::Offer,
        [5] => Kind::Acknowledge,
        [6] => Kind::Refuse,
        _ => return None,
    })
}

fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}

/// Returns a domain as it can stand in `/etc/resolv.conf`: whoever answers first is not trusted to write lines there.
fn domain(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim_end_matches('\0');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!text.is_empty() && text.chars().all(is_plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HARDWARE: [u8; 6] = [0, 0x16, 0x3e, 1, 2, 3];

    fn question(kind: Kind) -> Question<'static> {
        let (number, name) = (0x0102_0304, "web");
        Question { kind, number, hardware: HARDWARE, name, current: None, offered: None }
    }

    fn answer(extra: &[u8]) -> Vec<u8> {
        let mut bytes = question(Kind::Discover).bytes();
        bytes[0] = 2;
        bytes[16..20].copy_from_slice(&[10, 1, 2, 42]);
        bytes.truncate(OPTIONS);
        bytes.extend([53, 1, 2, 54, 4, 10, 1, 2, 1, 0, 1, 4, 255, 255, 240, 0]);
        bytes.extend([3, 4, 10, 1, 2, 1, 6, 8, 10, 1, 2, 1, 10, 1, 2, 9]);
        bytes.extend(extra);
        bytes
    }

    #[test]
    fn a_question_is_as_the_specification_has_it() {
        let (own, server) = (Ipv4Addr::new(10, 1, 2, 42), Ipv4Addr::new(10, 1, 2, 1));
        let asked = Question { offered: Some((own, server)), ..question(Kind::Request) };
        let bytes = asked.bytes();
        assert_eq!(bytes.len(), SHORTEST);
        assert_eq!(bytes[..12], [1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0x80, 0]);
        assert_eq!(bytes[28..34], HARDWARE);
        let given: Vec<_> = options(&bytes[OPTIONS..]).collect();
        assert_eq!(given[0], (53, &[3][..]));
        assert_eq!(given[1], (50, &[10, 1, 2, 42][..]));
        assert_eq!(given[3], (12, &b"web"[..]));
        let kept = Question { current: Some(own), ..question(Kind::Request) }.bytes();
        assert_eq!(kept[12..16], [10, 1, 2, 42]);
    }

    #[test]
    fn an_answer_says_address_network_router_and_names() {
        let found = question(Kind::Discover)
            .answer(&answer(b"\x0f\x03lxd\x33\x04\x00\x00\x0e\x10\xff"))
            .unwrap();
        assert_eq!((found.kind, found.server), (Kind::Offer, Some(Ipv4Addr::new(10, 1, 2, 1))));
        let router = Ipv4Addr::new(10, 1, 2, 1);
        let wanted = Lease {
            address: Ipv4Addr::new(10, 1, 2, 42),
            prefix: 20,
            router: Some(router),
            servers: vec![router, Ipv4Addr::new(10, 1, 2, 9)],
            domain: Some("lxd".to_owned()),
            seconds: 3600,
        };
        assert_eq!(found.lease, wanted);
    }

    #[test]
    fn what_is_meant_for_others_or_is_hostile_is_no_answer() {
        let asked = question(Kind::Discover);
        let mut other = answer(&[255]);
        other[33] = 9;
        assert_eq!(asked.answer(&other), None);
        let mut other = answer(&[255]);
        other[4] = 9;
        assert_eq!(asked.answer(&other), None);
        for length in 0..answer(&[255]).len() {
            // It may say less, and is never read past its end.
            let _ = asked.answer(&answer(&[255])[..length]);
        }
        let found = asked.answer(&answer(b"\x0f\x10lxd\nnameserver 1\xff")).unwrap();
        assert_eq!(found.lease.domain, None);
    }
}
