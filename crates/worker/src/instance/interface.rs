//! The network interfaces of an instance, as the kernel's files show them.

use std::fs;
use std::io;

/// An interface that leads out of the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) index: u32,
    /// Its hardware address.
    pub(super) hardware: [u8; 6],
}

/// Returns all interfaces but the loopback, by number.
pub(super) fn all() -> io::Result<Vec<Interface>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/class/net")? {
        let entry = entry?;
        let read = |file: &str| fs::read_to_string(entry.path().join(file));
        let Ok(name) = entry.file_name().into_string() else { continue };
        // `lo` has a hardware address of zeroes, a tunnel has none.
        let Some(hardware) = hardware(read("address")?.trim()) else { continue };
        if name != "lo" {
            let index = read("ifindex")?.trim().parse().map_err(io::Error::other)?;
            found.push(Interface { name, index, hardware });
        }
    }
    found.sort_by_key(|interface| interface.index);
    Ok(found)
}

/// Returns whether somebody has given the interface `name` an address already, which LXC does for some kinds of devices.
pub(super) fn is_set_up(name: &str) -> bool {
    has_route(&fs::read_to_string("/proc/net/route").unwrap_or_default(), name)
}

fn has_route(routes: &str, name: &str) -> bool {
    routes.lines().any(|line| line.split_whitespace().next() == Some(name))
}

fn hardware(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> =
        text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_have_six_bytes() {
        assert_eq!(hardware("00:16:3e:0a:ff:01"), Some([0, 0x16, 0x3e, 0x0a, 0xff, 1]));
        assert_eq!(hardware(""), None);
        assert_eq!(hardware("00:16"), None);
    }

    #[test]
    fn an_interface_with_a_route_is_set_up() {
        let routes = "Iface\tDestination\tGateway\neth0\t00000000\t0100010A\n";
        assert!(has_route(routes, "eth0"));
        assert!(!has_route(routes, "eth1"));
    }

    #[test]
    fn the_loopback_is_no_way_out() {
        assert!(all().unwrap().iter().all(|interface| interface.name != "lo"));
    }
}
