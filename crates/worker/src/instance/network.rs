//! Sets an interface up by netlink: in an instance of one program nothing else does. Source: `rtnetlink(7)`.

use std::fs;
use std::io;
use std::net::Ipv4Addr;

use boxwright_core::{Error, ErrorKind, Result};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Kinds of messages.
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const ERROR: u16 = 2;

/// A request that is answered; one that makes something, or takes it for made.
const REQUEST: u16 = 1 | 4;
const CREATE: u16 = 0x100 | 0x400;

/// The family of IPv4 addresses.
const INET: u8 = 2;

/// Gives the instance's interface `address`, sends what is for elsewhere to `gateway`, and has names answered there.
pub(super) fn set_up(address: (Ipv4Addr, u8), gateway: Ipv4Addr) -> Result<()> {
    let set = || -> io::Result<()> {
        let index = interface()?;
        let socket = Netlink::open()?;
        socket.ask(NEW_LINK, 0, &link_up(index))?;
        socket.ask(NEW_ADDRESS, CREATE, &new_address(index, address))?;
        socket.ask(NEW_ROUTE, CREATE, &default_route(index, gateway))?;
        fs::write("/etc/resolv.conf", format!("nameserver {gateway}\n"))
    };
    set().map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot set the network of the instance up")
            .with_source(error)
    })
}

/// Returns the number of the first interface that is not the loopback.
fn interface() -> io::Result<u32> {
    for entry in fs::read_dir("/sys/class/net")? {
        let entry = entry?;
        if entry.file_name() == "lo" {
            continue;
        }
        let index = fs::read_to_string(entry.path().join("ifindex"))?;
        return index.trim().parse().map_err(io::Error::other);
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "it has no interface"))
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

fn default_route(index: u32, gateway: Ipv4Addr) -> Vec<u8> {
    // The main table, set by hand, to anywhere, one by one.
    let mut body = vec![INET, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    attribute(&mut body, 5, &gateway.octets());
    attribute(&mut body, 4, &index.to_ne_bytes());
    body
}

/// Adds an attribute whose value has four bytes, so that none has to be filled up.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8; 4]) {
    body.extend(8_u16.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

struct Netlink(OwnedFd);

impl Netlink {
    fn open() -> io::Result<Self> {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        // The protocol of routes and addresses is the default one.
        Ok(Self(rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?))
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
        assert_eq!(default_route(7, Ipv4Addr::LOCALHOST).len(), 12 + 2 * 8);
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
