//! Raw sockets: packets leave with the IP header that they have, by the routes of the kernel.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::route::Way;

/// A protocol number that no packet has: such a socket sends all and receives none (raw(7)).
const RAW: i32 = libc::IPPROTO_RAW;

/// How long a packet waits for room in the kernel's queue.
const PATIENCE: Duration = Duration::from_secs(1);

/// The sockets of a run, one for each version; `None` where the machine does not have it.
pub(crate) struct Raw {
    v4: Option<Socket>,
    v6: Option<Socket>,
}

impl Raw {
    /// Opens them on this interface.
    pub(crate) fn open(interface: Option<&str>) -> io::Result<Raw> {
        let open = |domain| match open(domain, interface) {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(None),
            Err(error) => Err(error),
        };
        Ok(Raw { v4: open(Domain::IPV4)?, v6: open(Domain::IPV6)? })
    }

    /// Sends a packet this way; where the kernel's queue is full, when there is room.
    pub(crate) fn send(&self, packet: &[u8], target: IpAddr, way: Way) -> io::Result<()> {
        let socket = if target.is_ipv4() { &self.v4 } else { &self.v6 };
        let socket =
            socket.as_ref().ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))?;
        let mut since = None;
        loop {
            let error = match send(socket, packet, target, way) {
                Ok(()) => return Ok(()),
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
            let _ = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&WAIT));
        }
    }
}

fn open(domain: Domain, interface: Option<&str>) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(RAW)))?;
    socket.bind_device(interface.map(str::as_bytes))?;
    Ok(socket)
}

/// Sends a packet once. The kernel does not look for the route by the packet's own source address. So if
/// only one address has a route, the call names that address (ip(7) and ipv6(7), PKTINFO).
fn send(socket: &Socket, packet: &[u8], target: IpAddr, way: Way) -> io::Result<()> {
    // A port would have to be the protocol's number (raw(7), ipv6(7)).
    let remote = SocketAddr::new(target, 0);
    if !way.is_by_source {
        return socket.send_to(packet, &SockAddr::from(remote)).map(|_| ());
    }
    let data = [IoSlice::new(packet)];
    let send = |info: ControlMessage<'_>| {
        let remote = SockaddrStorage::from(remote);
        sendmsg(socket.as_raw_fd(), &data, &[info], MsgFlags::empty(), Some(&remote))
    };
    let sent = match way.source {
        IpAddr::V4(source) => {
            let spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) };
            let none = libc::in_addr { s_addr: 0 };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: spec_dst, ipi_addr: none };
            send(ControlMessage::Ipv4PacketInfo(&info))
        }
        IpAddr::V6(source) => {
            let address = libc::in6_addr { s6_addr: source.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 };
            send(ControlMessage::Ipv6PacketInfo(&info))
        }
    };
    Ok(sent.map(|_| ())?)
}
