//! Owns the sockets of the servers: bound to every local address of a namespace, with as long a
//! queue as the kernel gives, and answering from the address that was asked.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage,
    recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::error::{Context, Result};

const BACKLOG: i32 = 65_535;
/// Octets of datagrams that wait to be answered, as the kernel counts them: some 1,000 for each.
const QUEUE: usize = 8 << 20;

/// Whether this kernel has Multipath TCP.
pub(super) fn has_mptcp() -> bool {
    Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::MPTCP)).is_ok()
}

/// A listener of its own on `port`, with or without Multipath TCP; several on the same port share its
/// connections.
pub(super) fn listen(port: u16, mptcp: bool) -> io::Result<Socket> {
    let protocol = if mptcp { Protocol::MPTCP } else { Protocol::TCP };
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(protocol))?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// The listener for the runtime of the calling thread.
pub(super) fn asynchronous(socket: Socket) -> Result<TcpListener> {
    TcpListener::from_std(socket.into()).context(|| "hand a listener to its thread")
}

/// A UDP socket of one version that tells which of thousands of addresses was asked.
pub(super) fn datagrams(port: u16, ipv6: bool) -> io::Result<Socket> {
    let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Beyond the system's limit where the lab may: a burst of a thousand clients has to find room.
    if setsockopt(&socket, sockopt::RcvBufForce, &QUEUE).is_err() {
        socket.set_recv_buffer_size(QUEUE)?;
    }
    if ipv6 {
        socket.set_only_v6(true)?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    } else {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    }
    Ok(socket)
}

/// Where a datagram came from, and which address it was sent to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    client: SockaddrStorage,
    asked: Asked,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Ipv4(libc::in_addr),
    Ipv6(libc::in6_addr),
}

/// Receives one datagram into `buffer`.
pub(super) fn receive(
    socket: &impl AsRawFd,
    buffer: &mut [u8],
) -> io::Result<Option<(usize, Ends)>> {
    let mut space = nix::cmsg_space!(libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::empty(),
    )?;
    let asked = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Asked::Ipv4(info.ipi_addr)),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Asked::Ipv6(info.ipi6_addr)),
        _ => None,
    });
    let ends = message.address.zip(asked).map(|(client, asked)| Ends { client, asked });
    Ok(ends.map(|ends| (message.bytes, ends)))
}

/// Answers from the address that was asked.
pub(super) fn answer(socket: &impl AsRawFd, ends: &Ends, data: &[u8]) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    let (parts, none) = ([IoSlice::new(data)], MsgFlags::empty());
    match ends.asked {
        Asked::Ipv4(address) => {
            let info =
                libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: address };
            let client: Option<SockaddrIn> = ends.client.as_sockaddr_in().copied();
            sendmsg(fd, &parts, &[ControlMessage::Ipv4PacketInfo(&info)], none, client.as_ref())?;
        }
        Asked::Ipv6(address) => {
            let info = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 };
            let client: Option<SockaddrIn6> = ends.client.as_sockaddr_in6().copied();
            sendmsg(fd, &parts, &[ControlMessage::Ipv6PacketInfo(&info)], none, client.as_ref())?;
        }
    }
    Ok(())
}
