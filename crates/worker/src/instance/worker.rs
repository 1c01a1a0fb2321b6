//! The first process of a worker's instance: sets the network up, and waits for builds.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use boxwright_core::{Error, ErrorKind, Host, Result};

use super::interface;
use super::netlink::{Netlink, Route};
use crate::init;

/// How long a worker's instance runs on with nothing to do where nothing else is said.
const IDLE: Duration = Duration::from_secs(900);

/// Is the first process until nobody has used the instance for a while.
pub(crate) async fn run(host: &Host) -> Result<()> {
    let idle = match host.variable("BOXWRIGHT_WORKER_IDLE") {
        Some(seconds) => Duration::from_secs(seconds.parse().map_err(|_| wrong("IDLE", seconds))?),
        None => IDLE,
    };
    if let Some((address, gateway)) = address(host)? {
        set_up(address, gateway)?;
    }
    init::wait_until_idle(idle).await.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot watch for signals").with_source(error)
    })
}

/// Gives the first interface `address`, sends what is for elsewhere to `gateway`, and has names answered there.
fn set_up(address: (Ipv4Addr, u8), gateway: Ipv4Addr) -> Result<()> {
    let set = || -> io::Result<()> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "it has no interface");
        let interface = interface::all()?.into_iter().next().ok_or_else(missing)?;
        let netlink = Netlink::open()?;
        netlink.turn_on(interface.index)?;
        netlink.add_address(interface.index, address)?;
        let interface = interface.index;
        netlink.add_route(Route { interface, gateway: Some(gateway), metric: 0 })?;
        std::fs::write("/etc/resolv.conf", format!("nameserver {gateway}\n"))
    };
    set().map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot set the network of the instance up")
            .with_source(error)
    })
}

/// Returns the address with the bits of its network's part, and the way out.
fn address(host: &Host) -> Result<Option<((Ipv4Addr, u8), Ipv4Addr)>> {
    let Some(text) = host.variable("BOXWRIGHT_WORKER_ADDRESS") else { return Ok(None) };
    let parsed = text.split_once('/').and_then(|(address, prefix)| {
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
        Some((address.parse().ok()?, prefix))
    });
    let address = parsed.ok_or_else(|| wrong("ADDRESS", text))?;
    let text = host.variable("BOXWRIGHT_WORKER_GATEWAY").unwrap_or_default();
    let gateway = text.parse().map_err(|_| wrong("GATEWAY", text))?;
    Ok(Some((address, gateway)))
}

fn wrong(name: &str, value: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, "cannot set the worker's instance up")
        .with_cause(format!("`BOXWRIGHT_WORKER_{name}` is `{value}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_network_and_a_way_out() {
        let host = |address: &str, gateway: &str| {
            let variables =
                [("BOXWRIGHT_WORKER_ADDRESS", address), ("BOXWRIGHT_WORKER_GATEWAY", gateway)];
            Host::with_variables("/", variables)
        };
        let (own, gateway) = (Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::new(10, 1, 2, 1));
        let found = address(&host("10.1.2.3/24", "10.1.2.1")).unwrap();
        assert_eq!(found, Some(((own, 24), gateway)));
        assert_eq!(address(&host("", "")).unwrap(), None);
        for (own, gateway) in
            [("10.1.2.3", "10.1.2.1"), ("10.1.2.3/33", "10.1.2.1"), ("10.1.2.3/24", "")]
        {
            assert!(address(&host(own, gateway)).is_err(), "{own} {gateway}");
        }
    }
}
