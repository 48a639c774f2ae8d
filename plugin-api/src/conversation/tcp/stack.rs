//! One TCP connection of smoltcp's over a wire of two queues. It has no clock: the time is an
//! argument.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

use crate::error::{Error, Result};

/// Octets that are received and not read yet, at most: the window.
const RECEIVE: usize = 8 * 1024;
/// Octets that are sent and not acknowledged yet, at most, where a packet is not larger.
const SEND: usize = 2 * 1024;

/// A connection, and all that it takes. An interface of its own costs less than one that is shared,
/// which would look through all sockets.
pub(super) struct Stack {
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
}

impl Stack {
    /// Begins to connect. Packets have `mtu` octets at most; the first sequence number follows from
    /// `seed`.
    pub(super) fn connect(
        (local, remote): (SocketAddr, SocketAddr),
        mtu: usize,
        seed: u64,
    ) -> Result<Stack> {
        let mut wire = Wire { mtu, come: VecDeque::new(), go: Vec::new() };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut wire, instant(Duration::ZERO));
        interface.update_ip_addrs(|addresses| {
            // Every address is a neighbour, so there is no need for a route.
            let _ = addresses.push(IpCidr::new(local.ip().into(), 0));
        });
        let buffer = |octets| SocketBuffer::new(vec![0; octets]);
        let mut socket = Socket::new(buffer(RECEIVE), buffer(SEND.max(mtu)));
        socket.set_ack_delay(None);
        socket.set_nagle_enabled(false);
        let begun = socket.connect(interface.context(), remote, local);
        begun.map_err(|error| Error::new(format!("cannot connect to {remote}: {error}")))?;
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Ok(Stack { wire, interface, sockets, handle })
    }

    /// Takes a packet that came.
    pub(super) fn came(&mut self, packet: Vec<u8>) {
        self.wire.come.push_back(packet);
    }

    /// Does what is due.
    pub(super) fn poll(&mut self, now: Duration) {
        self.interface.poll(instant(now), &mut self.wire, &mut self.sockets);
    }

    /// After how long there is something to do.
    pub(super) fn delay(&mut self, now: Duration) -> Option<Duration> {
        let delay = self.interface.poll_delay(instant(now), &self.sockets);
        delay.map(|delay| Duration::from_micros(delay.total_micros()))
    }

    /// Packets to send.
    pub(super) fn take_packets(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.wire.go)
    }

    pub(super) fn state(&self) -> State {
        self.sockets.get::<Socket<'_>>(self.handle).state()
    }

    pub(super) fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut::<Socket<'_>>(self.handle)
    }
}

fn instant(now: Duration) -> Instant {
    Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

/// Packets on their way.
struct Wire {
    mtu: usize,
    come: VecDeque<Vec<u8>>,
    go: Vec<Vec<u8>>,
}

impl Device for Wire {
    type RxToken<'a> = Come;
    type TxToken<'a> = Go<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Come, Go<'_>)> {
        let packet = self.come.pop_front()?;
        Some((Come(packet), Go(&mut self.go)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Go<'_>> {
        Some(Go(&mut self.go))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // Cards finish checksums after the capture, and join segments without new ones.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

struct Come(Vec<u8>);

impl smoltcp::phy::RxToken for Come {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

struct Go<'a>(&'a mut Vec<Vec<u8>>);

impl smoltcp::phy::TxToken for Go<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, make: F) -> R {
        let mut packet = vec![0; length];
        let made = make(&mut packet);
        self.0.push(packet);
        made
    }
}
