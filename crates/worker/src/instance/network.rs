//! Gives the interfaces of an instance their addresses by DHCP, and keeps them.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;

use super::dhcp::Lease;
use super::interface::{self, Interface};
use super::lease::Client;
use super::netlink::{Netlink, Route};

/// The metric of a way that leads nowhere else: answers of servers are let in by it before there is an address.
const LAST_RESORT: u32 = u32::MAX - 1;

/// Where names are looked up.
const RESOLVER: &str = "/etc/resolv.conf";

/// Sets up all interfaces, and comes back when each has an address. They are kept for as long as the program runs. What
/// goes wrong is given to `warn`: an instance without a network may do without.
pub(super) async fn set_up(name: String, warn: fn(&str)) {
    let interfaces = match interface::all() {
        Ok(interfaces) => interfaces,
        Err(error) => return warn(&format!("cannot list the interfaces: {error}")),
    };
    let mut own = Vec::new();
    for (place, interface) in interfaces.into_iter().enumerate() {
        // LXC itself sets some kinds of devices up.
        if !interface::is_set_up(&interface.name) {
            own.push(bring_up(interface, place, name.clone(), warn));
        }
    }
    join_all(own).await;
}

/// Waits for the first address of `interface`, and keeps it from then on.
async fn bring_up(interface: Interface, place: usize, name: String, warn: fn(&str)) {
    let metric = u32::try_from(place).unwrap_or_default() * 100;
    let (sender, first) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        if let Err(error) = keep(&interface, metric, &name, sender).await {
            warn(&format!("cannot set `{}` up: {error}", interface.name));
        }
    });
    // A keeper that fails has said so.
    let _ = first.await;
}

async fn keep(
    interface: &Interface,
    metric: u32,
    name: &str,
    first: tokio::sync::oneshot::Sender<()>,
) -> io::Result<()> {
    let netlink = Netlink::open()?;
    netlink.turn_on(interface.index)?;
    let client = Client::open(interface, name)?;
    let mut first = Some(first);
    loop {
        let nowhere = Route { interface: interface.index, gateway: None, metric: LAST_RESORT };
        netlink.add_route(nowhere)?;
        let mut lease = client.acquire().await;
        apply(&netlink, interface, metric, &lease)?;
        netlink.remove_route(nowhere)?;
        if let Some(first) = first.take() {
            let _ = first.send(());
        }
        loop {
            tokio::time::sleep(Duration::from_secs(lease.seconds.into()) / 2).await;
            match client.renew(&lease).await {
                Some(renewed) => {
                    if (renewed.address, renewed.prefix) != (lease.address, lease.prefix) {
                        netlink.remove_address(interface.index, (lease.address, lease.prefix))?;
                    }
                    apply(&netlink, interface, metric, &renewed)?;
                    lease = renewed;
                }
                None => {
                    netlink.remove_address(interface.index, (lease.address, lease.prefix))?;
                    break;
                }
            }
        }
    }
}

fn apply(netlink: &Netlink, interface: &Interface, metric: u32, lease: &Lease) -> io::Result<()> {
    netlink.add_address(interface.index, (lease.address, lease.prefix))?;
    if let Some(gateway) = lease.router {
        netlink.add_route(Route { interface: interface.index, gateway: Some(gateway), metric })?;
    }
    // That of the first interface counts, as its route does.
    if metric == 0 && !lease.servers.is_empty() {
        write_whole(Path::new(RESOLVER), &resolver(lease))?;
    }
    Ok(())
}

/// Returns the lines of `/etc/resolv.conf`.
fn resolver(lease: &Lease) -> String {
    let search = lease.domain.iter().map(|domain| format!("search {domain}\n"));
    let servers = lease.servers.iter().map(|server: &Ipv4Addr| format!("nameserver {server}\n"));
    search.chain(servers).collect()
}

/// Writes a file beside `path` and renames it: what is there may be a link to where nothing is.
pub(super) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("boxwright");
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_where_the_lease_says() {
        let server = Ipv4Addr::new(10, 1, 2, 1);
        let mut lease = Lease {
            address: Ipv4Addr::new(10, 1, 2, 42),
            prefix: 24,
            router: Some(server),
            servers: vec![server, Ipv4Addr::new(10, 1, 2, 9)],
            domain: Some("lxd".to_owned()),
            seconds: 3600,
        };
        assert_eq!(resolver(&lease), "search lxd\nnameserver 10.1.2.1\nnameserver 10.1.2.9\n");
        lease.domain = None;
        assert_eq!(resolver(&lease), "nameserver 10.1.2.1\nnameserver 10.1.2.9\n");
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        std::os::unix::fs::symlink("../run/nowhere", &path).unwrap();
        write_whole(&path, "nameserver 10.1.2.1\n").unwrap();
        assert!(path.symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
