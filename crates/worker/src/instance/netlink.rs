//! Sets interfaces up by netlink: in an instance of one program nothing else does. Source: `rtnetlink(7)`.

use std::io;
use std::net::Ipv4Addr;

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Kinds of messages.
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const ERROR: u16 = 2;

/// A request that is answered; one that makes something, or takes it for made.
const REQUEST: u16 = 1 | 4;
const CREATE: u16 = 0x100 | 0x400;

/// The family of IPv4 addresses.
const INET: u8 = 2;

/// A way out of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The number of the interface.
    pub(super) interface: u32,
    /// Who passes things on. `None`: everyone is on that network.
    pub(super) gateway: Option<Ipv4Addr>,
    /// Of several, the lowest is taken.
    pub(super) metric: u32,
}

fn link_up(index: u32) -> Vec<u8> {
    const UP: u32 = 1;
    let mut body = vec![0; 4];
    for number in [index, UP, UP] {
        body.extend(number.to_ne_bytes());
    }
    body
}

fn new_address(index: u32, (address, prefix): (Ipv4Addr, u8)) -> Vec<u8> {
    let mut body = vec![INET, prefix, 0, 0];
    body.extend(index.to_ne_bytes());
    for kind in [1, 2] {
        attribute(&mut body, kind, &address.octets());
    }
    body
}

fn default_route(route: Route) -> Vec<u8> {
    // Whether one has to pass things on, or all are there.
    let scope = if route.gateway.is_some() { 0 } else { 253 };
    // The gateway may be outside of the address's own network.
    let on_link = if route.gateway.is_some() { 4_u32 } else { 0 };
    // The main table, set by hand, to anywhere, one by one.
    let mut body = vec![INET, 0, 0, 0, 254, 3, scope, 1];
    body.extend(on_link.to_ne_bytes());
    if let Some(gateway) = route.gateway {
        attribute(&mut body, 5, &gateway.octets());
    }
    attribute(&mut body, 4, &route.interface.to_ne_bytes());
    attribute(&mut body, 6, &route.metric.to_ne_bytes());
    body
}

/// Adds an attribute whose value has four bytes, so that none has to be filled up.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8; 4]) {
    body.extend(8_u16.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

/// A socket to the kernel.
#[derive(Debug)]
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        // The protocol of routes and addresses is the default one.
        Ok(Self(rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?))
    }

    /// Turns the interface with this number on.
    pub(super) fn turn_on(&self, interface: u32) -> io::Result<()> {
        self.ask(NEW_LINK, 0, &link_up(interface))
    }

    /// Gives an interface an address, with the bits of its network's part.
    pub(super) fn add_address(&self, interface: u32, address: (Ipv4Addr, u8)) -> io::Result<()> {
        self.ask(NEW_ADDRESS, CREATE, &new_address(interface, address))
    }

    /// Takes an address away again.
    pub(super) fn remove_address(&self, interface: u32, address: (Ipv4Addr, u8)) -> io::Result<()> {
        self.ask(DELETE_ADDRESS, 0, &new_address(interface, address))
    }

    /// Sends what is for elsewhere along `route`.
    pub(super) fn add_route(&self, route: Route) -> io::Result<()> {
        self.ask(NEW_ROUTE, CREATE, &default_route(route))
    }

    /// Takes a route away again.
    pub(super) fn remove_route(&self, route: Route) -> io::Result<()> {
        self.ask(DELETE_ROUTE, 0, &default_route(route))
    }

    /// Sends one message and waits for what becomes of it.
    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(16 + body.len()).map_err(io::Error::other)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend((REQUEST | flags).to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        rustix::net::send(&self.0, &message, SendFlags::empty())?;
        let mut answer = [0; 4096];
        let (_, size) = rustix::net::recv(&self.0, &mut answer, RecvFlags::empty())?;
        result(&answer[..size])
    }
}

/// Reads the answer: a message of the kind [`ERROR`], whose number is 0 when all went well.
fn result(answer: &[u8]) -> io::Result<()> {
    let unknown =
        || io::Error::new(io::ErrorKind::InvalidData, "the kernel answers something else");
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok());
    let number = answer.get(16..20).and_then(|bytes| bytes.try_into().ok());
    match (kind.map(u16::from_ne_bytes), number.map(i32::from_ne_bytes)) {
        (Some(ERROR), Some(0)) => Ok(()),
        (Some(ERROR), Some(number)) => Err(io::Error::from_raw_os_error(-number)),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_kernels_sizes() {
        assert_eq!(link_up(7).len(), 16);
        assert_eq!(new_address(7, (Ipv4Addr::LOCALHOST, 8)).len(), 8 + 2 * 8);
        let gateway = Some(Ipv4Addr::LOCALHOST);
        let route = Route { interface: 7, gateway, metric: 3 };
        assert_eq!(default_route(route).len(), 12 + 3 * 8);
        assert_eq!(default_route(Route { gateway: None, ..route }).len(), 12 + 2 * 8);
    }

    #[test]
    fn the_kernel_refuses_an_interface_that_is_not_there() {
        let socket = Netlink::open().unwrap();
        let body = new_address(u32::from(u16::MAX), (Ipv4Addr::new(10, 255, 255, 1), 32));
        let error = socket.ask(NEW_ADDRESS, CREATE, &body).unwrap_err();
        // An ordinary user is refused before anything is looked at.
        let codes = [libc::ENODEV, libc::EPERM].map(Some);
        assert!(codes.contains(&error.raw_os_error()), "{error}");
        assert!(result(&[0; 20]).is_err());
    }
}
