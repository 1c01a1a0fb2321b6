//! An address for a worker instance in a network of the server's: no program in it asks for one. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// How an interface is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) address: Ipv4Addr,
    /// The bits of the network's part.
    pub(crate) prefix: u8,
    /// The server's own address in the network: the way out, and who answers names.
    pub(crate) gateway: Ipv4Addr,
    /// Whether the server hands addresses out, so that it has to be told of this one.
    pub(crate) is_leased: bool,
}

/// Chooses an address that nobody has, by what the server says of a network and of who has which address in it.
/// `seed` says where to begin, so that two who choose at once choose differently. `None` where the network has no
/// addresses of this kind.
pub(crate) fn choose(
    network: &BTreeMap<String, String>,
    taken: &[IpAddr],
    seed: u32,
) -> Option<Address> {
    let (gateway, prefix) = network.get("ipv4.address")?.split_once('/')?;
    let (gateway, prefix): (Ipv4Addr, u8) = (gateway.parse().ok()?, prefix.parse().ok()?);
    // The first is the network's, the last everyone's.
    let hosts = 1_u32.checked_shl(32_u32.checked_sub(prefix.into())?)?.checked_sub(2)?;
    let first = u32::from(gateway) & !(hosts + 1);
    let wanted = |number: &Ipv4Addr| *number != gateway && !taken.contains(&IpAddr::V4(*number));
    let mut all = (0..hosts).map(|step| {
        let host = (u64::from(seed) + u64::from(step)) % u64::from(hosts);
        Ipv4Addr::from(first + 1 + u32::try_from(host).unwrap_or_default())
    });
    let is_leased = network.get("ipv4.dhcp").is_none_or(|value| value != "false");
    all.find(wanted).map(|address| Address { address, prefix, gateway, is_leased })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("ipv4.address".to_owned(), address.to_owned())])
    }

    #[test]
    fn a_free_address_is_found_from_the_seed_on() {
        let found = choose(&network("10.1.2.1/24"), &[], 41).unwrap();
        assert_eq!(found.address, Ipv4Addr::new(10, 1, 2, 42));
        assert_eq!((found.prefix, found.gateway), (24, Ipv4Addr::new(10, 1, 2, 1)));
        assert!(found.is_leased);
        let taken = [IpAddr::V4(Ipv4Addr::new(10, 1, 2, 42))];
        let found = choose(&network("10.1.2.1/24"), &taken, 41).unwrap();
        assert_eq!(found.address, Ipv4Addr::new(10, 1, 2, 43));
        // It begins again at the start, and never takes the server's own.
        let found = choose(&network("10.1.2.1/24"), &[], 254).unwrap();
        assert_eq!(found.address, Ipv4Addr::new(10, 1, 2, 2));
    }

    #[test]
    fn a_full_network_and_one_without_addresses_give_none() {
        let taken = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))];
        assert_eq!(choose(&network("10.0.0.1/30"), &taken, 7), None);
        assert_eq!(choose(&network("none"), &[], 7), None);
        assert_eq!(choose(&network("10.0.0.1/99"), &[], 7), None);
        assert_eq!(choose(&BTreeMap::new(), &[], 7), None);
    }

    #[test]
    fn a_network_that_hands_none_out_is_told() {
        let mut network = network("10.1.2.1/24");
        network.insert("ipv4.dhcp".to_owned(), "false".to_owned());
        assert!(!choose(&network, &[], 0).unwrap().is_leased);
    }
}
