//! The datagrams of one connection: its socket, and the mark that each of them came with.

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;

use bytes::BytesMut;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use socket2::Socket;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// As long as a datagram can be.
const LARGEST: usize = 65_535;

/// Room for one datagram, which all connections of a run share.
pub(in super::super) struct Room(RefCell<Box<[u8]>>);

impl Default for Room {
    fn default() -> Room {
        Room(RefCell::new(vec![0; LARGEST].into()))
    }
}

/// A datagram that came.
pub(super) struct Arrival {
    pub(super) octets: BytesMut,
    /// Its ECN field.
    pub(super) mark: u8,
}

/// A connected socket.
pub(super) struct Link(UdpSocket);

impl Link {
    /// Takes over a socket that is connected to an address of that version of IP.
    pub(super) fn new(socket: Socket, is_ipv4: bool) -> io::Result<Link> {
        if is_ipv4 {
            setsockopt(&socket, sockopt::IpRecvTos, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvTClass, &true)?;
        }
        UdpSocket::from_std(socket.into()).map(Link)
    }

    /// Sends a datagram. Where there is no room for it, it is lost like any other.
    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.0.try_send(datagram) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }

    /// The next datagram.
    ///
    /// # Errors
    ///
    /// An ICMP error came, or the socket failed.
    pub(super) async fn receive(&self, room: &Room) -> io::Result<Arrival> {
        // `UdpSocket::recv` sleeps through ICMP errors.
        let interest = Interest::READABLE | Interest::ERROR;
        self.0.async_io(interest, || receive(&self.0, &mut room.0.borrow_mut())).await
    }

    /// A datagram that is there already.
    pub(super) fn receive_more(&self, room: &Room) -> Option<Arrival> {
        self.0.try_io(Interest::READABLE, || receive(&self.0, &mut room.0.borrow_mut())).ok()
    }
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut space = nix::cmsg_space!(i32, i32);
    let (length, mark) = {
        let mut parts = [IoSliceMut::new(buffer)];
        let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let message = recvmsg::<()>(fd, &mut parts, Some(&mut space), flags)?;
        let mark = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4Tos(class) => Some(class & 3),
            ControlMessageOwned::Ipv6TClass(class) => Some((class & 3) as u8),
            _ => None,
        });
        (message.bytes, mark.unwrap_or(0))
    };
    Ok(Arrival { octets: BytesMut::from(&buffer[..length]), mark })
}
