//! Asks for an address, and asks again before its time is over.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::time::{Instant, sleep, timeout};

use super::dhcp::{Answer, Kind, Lease, Question};
use super::interface::Interface;

/// The ports of clients and servers.
const CLIENT: u16 = 68;
const SERVER: u16 = 67;

/// How long an answer is waited for at first; each time twice as long, up to the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(16);

/// A client on one interface.
#[derive(Debug)]
pub(super) struct Client<'a> {
    socket: tokio::net::UdpSocket,
    interface: &'a Interface,
    /// What the instance is called.
    name: &'a str,
}

impl<'a> Client<'a> {
    /// Listens on `interface`, which may have no address yet.
    pub(super) fn open(interface: &'a Interface, name: &'a str) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
        // Each interface has a client of its own, all on the one port.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        sockopt::set_socket_broadcast(&socket, true)?;
        rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT))?;
        let socket = tokio::net::UdpSocket::from_std(UdpSocket::from(socket))?;
        socket.bind_device(Some(interface.name.as_bytes()))?;
        Ok(Self { socket, interface, name })
    }

    /// Asks until there is an address.
    pub(super) async fn acquire(&self) -> Lease {
        let mut patience = FIRST;
        loop {
            let start = Instant::now();
            if let Some(lease) = self.attempt(patience).await {
                return lease;
            }
            sleep(patience.saturating_sub(start.elapsed())).await;
            patience = (patience * 2).min(LONGEST);
        }
    }

    async fn attempt(&self, patience: Duration) -> Option<Lease> {
        let discover = self.question(Kind::Discover);
        let offer = self.ask(&discover, patience).await?;
        let offered = Some((offer.lease.address, offer.server?));
        let request = Question { kind: Kind::Request, offered, ..discover };
        let answer = self.ask(&request, patience).await?;
        (answer.kind == Kind::Acknowledge).then_some(answer.lease)
    }

    /// Asks for `lease` again, until its time is over or the server refuses.
    pub(super) async fn renew(&self, lease: &Lease) -> Option<Lease> {
        // Half of the time has passed.
        let end = Instant::now() + Duration::from_secs(lease.seconds.into()) / 2;
        while Instant::now() < end {
            let current = Some(lease.address);
            let question = Question { current, ..self.question(Kind::Request) };
            match self.ask(&question, LONGEST).await {
                Some(answer) if answer.kind == Kind::Acknowledge => return Some(answer.lease),
                Some(_) => return None,
                None => {}
            }
        }
        None
    }

    fn question(&self, kind: Kind) -> Question<'a> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let [.., a, b, c, d] = self.interface.hardware;
        let number = u32::from_be_bytes([a, b, c, d]) ^ time.subsec_nanos();
        let hardware = self.interface.hardware;
        Question { kind, number, hardware, name: self.name, current: None, offered: None }
    }

    /// Sends a question and waits for its answer. Whatever hinders that is as if nobody answered.
    async fn ask(&self, question: &Question<'_>, patience: Duration) -> Option<Answer> {
        let everyone = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER);
        self.socket.send_to(&question.bytes(), everyone).await.ok()?;
        let answer = async {
            let mut buffer = vec![0; 2048];
            loop {
                let (size, _) = self.socket.recv_from(&mut buffer).await.ok()?;
                let answer = question.answer(&buffer[..size]);
                // An offer that comes late is no answer to a request.
                let fits = |answer: &Answer| {
                    (question.kind == Kind::Discover) == (answer.kind == Kind::Offer)
                };
                if let Some(answer) = answer.filter(fits) {
                    return Some(answer);
                }
            }
        };
        timeout(patience, answer).await.ok().flatten()
    }
}
