//! Raw sockets: packets leave with the IP header that they have, by the kernel's routes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// A protocol number that no packet has: such a socket sends all and receives none (raw(7)).
const RAW: i32 = libc::IPPROTO_RAW;

/// How long a packet waits for room in the kernel's queue.
const PATIENCE: Duration = Duration::from_secs(1);

/// The sockets of a run, one for each version; `None` where the machine does not have it.
pub(super) struct Raw {
    v4: Option<Version>,
    v6: Option<Version>,
}

struct Version {
    sender: Socket,
    /// Asked for the route's source address.
    asker: Socket,
}

impl Raw {
    /// Opens them on this interface.
    pub(super) fn open(interface: Option<&str>) -> io::Result<Raw> {
        let open = |domain| match Version::open(domain, interface) {
            Ok(version) => Ok(Some(version)),
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(None),
            Err(error) => Err(error),
        };
        Ok(Raw { v4: open(Domain::IPV4)?, v6: open(Domain::IPV6)? })
    }

    fn version(&self, address: IpAddr) -> io::Result<&Version> {
        let version = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        version.as_ref().ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
    }

    /// The source address of the route to there.
    ///
    /// # Errors
    ///
    /// There is no route.
    pub(super) fn source(&self, target: IpAddr) -> io::Result<IpAddr> {
        let asker = &self.version(target)?.asker;
        // Without that, a socket keeps the address of its first peer.
        rustix::net::connect_unspec(asker)?;
        // Nothing is sent; the port is of no account.
        asker.connect(&SockAddr::from(SocketAddr::new(target, 9)))?;
        let address = asker.local_addr()?.as_socket().map(|address| address.ip());
        address.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Sends a packet; where the kernel's queue is full, when there is room.
    pub(super) fn send(&self, packet: &[u8], target: IpAddr) -> io::Result<()> {
        let sender = &self.version(target)?.sender;
        // A port would have to be the protocol's number (raw(7), ipv6(7)).
        let address = SockAddr::from(SocketAddr::new(target, 0));
        let mut since = None;
        loop {
            let error = match sender.send_to(packet, &address) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let is_full =
                matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM));
            let waiting = *since.get_or_insert_with(Instant::now);
            if !is_full || waiting.elapsed() > PATIENCE {
                return Err(error);
            }
            const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            // An interrupted wait is a short one.
            let _ = poll(&mut [PollFd::new(sender, PollFlags::OUT)], Some(&WAIT));
        }
    }
}

impl Version {
    fn open(domain: Domain, interface: Option<&str>) -> io::Result<Version> {
        let sender = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(RAW)))?;
        let asker = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if let Some(interface) = interface {
            sender.bind_device(Some(interface.as_bytes()))?;
            asker.bind_device(Some(interface.as_bytes()))?;
        }
        // With a port of its own, it does not look for one whenever it is asked.
        let any: IpAddr = match domain {
            Domain::IPV4 => Ipv4Addr::UNSPECIFIED.into(),
            _ => Ipv6Addr::UNSPECIFIED.into(),
        };
        asker.bind(&SockAddr::from(SocketAddr::new(any, 0)))?;
        Ok(Version { sender, asker })
    }
}
