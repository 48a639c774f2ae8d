//! One captured packet as a chain sees it, and checked readers of its headers.
//!
//! The host slices a packet once, into IP header, transport header and payload, and guarantees
//! the lengths that the readers below state. The readers decode fields from those bytes, in the
//! plugin's own code: nothing but three slices and a few numbers crosses the boundary.

mod extensions;
mod icmp;
mod ip;
mod kinds;
mod pieces;
pub mod place;
mod prefix;
pub mod quic;
mod quoted;
mod tcp;
pub mod tcp_option;
pub mod tls;
mod udp;

use std::marker::PhantomData;

pub use extensions::{Extensions, FragmentHeader};
pub use icmp::Icmp;
pub use ip::Ip;
pub use kinds::OptionKinds;
pub use pieces::{Fit, Pieces};
pub use prefix::Prefix;
pub use quoted::{ExtensionObject, Extensions as IcmpExtensions, Quoted};
pub use tcp::{Tcp, TcpFlags, TcpOption, TcpOptions};
pub use udp::Udp;

/// The values of the ECN field in an IP header (RFC 3168, section 5).
pub mod ecn {
    /// Not ECN-capable transport.
    pub const NOT_ECT: u8 = 0;
    /// ECN-capable transport, ECT(1); L4S marks its packets so (RFC 9331).
    pub const ECT_1: u8 = 1;
    /// ECN-capable transport, ECT(0).
    pub const ECT_0: u8 = 2;
    /// Congestion experienced.
    pub const CE: u8 = 3;
}

/// IANA protocol numbers that the observer knows.
pub mod protocol {
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: u8 = 1;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// SCTP (RFC 9260).
    pub const SCTP: u8 = 132;
    /// UDP-Lite (RFC 3828).
    pub const UDP_LITE: u8 = 136;
}

/// Which way a packet of a flow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the flow's originator: the sender of the first packet seen. In a measurement, us.
    Forward,
    /// Toward the originator.
    Reverse,
}

/// A set of packet layers: what a packet has, or what a chain wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layers(pub u32);

impl Layers {
    /// No layer: the chain only sees flows begin and end.
    pub const NONE: Layers = Layers(0);
    /// IPv4.
    pub const IP4: Layers = Layers(1);
    /// IPv6.
    pub const IP6: Layers = Layers(1 << 1);
    /// ICMP for IPv4.
    pub const ICMP4: Layers = Layers(1 << 2);
    /// ICMP for IPv6.
    pub const ICMP6: Layers = Layers(1 << 3);
    /// TCP.
    pub const TCP: Layers = Layers(1 << 4);
    /// UDP.
    pub const UDP: Layers = Layers(1 << 5);
    /// Any other transport protocol.
    pub const L4: Layers = Layers(1 << 6);
    /// Either version of IP.
    pub const IP: Layers = Layers::IP4.and(Layers::IP6);
    /// Either version of ICMP.
    pub const ICMP: Layers = Layers::ICMP4.and(Layers::ICMP6);

    /// The union of two sets.
    pub const fn and(self, other: Layers) -> Layers {
        Layers(self.0 | other.0)
    }

    /// Whether the two sets share a layer.
    pub const fn intersects(self, other: Layers) -> bool {
        self.0 & other.0 != 0
    }
}

/// One packet of a flow.
///
/// It belongs to the host and is valid for the length of one call.
// Crosses by reference: fields may be appended, never moved or removed (see `abi`).
#[repr(C)]
pub struct Packet<'a> {
    time_ns: i64,
    ip: Bytes<'a>,
    transport: Bytes<'a>,
    payload: Bytes<'a>,
    ip_length: u32,
    payload_length: u32,
    layers: u32,
    reverse: bool,
    protocol: u8,
    wire_length: u32,
}

/// For the test that pins it.
#[cfg(test)]
pub(crate) fn pinned() -> [crate::abi::Fields; 2] {
    let packet = crate::abi::pinned_fields!(Packet {
        time_ns,
        ip,
        transport,
        payload,
        ip_length,
        payload_length,
        layers,
        reverse,
        protocol,
        wire_length,
    });
    [packet, crate::abi::pinned_fields!(Bytes { start, length, lifetime })]
}

/// What the host's dissector found: the arguments of [`Packet::new`].
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Capture time, nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The IP header: IPv4 with its options (at least 20 bytes), or the fixed IPv6 header with
    /// the extension headers that follow (at least 40 bytes).
    pub ip: &'a [u8],
    /// The transport header, whole, TCP options included: at least 20 bytes where `layers` has
    /// TCP, 8 where it has UDP or ICMP; empty where there is none, as in a later fragment.
    pub transport: &'a [u8],
    /// What follows the transport header, as far as it was captured.
    pub payload: &'a [u8],
    /// Octets of the whole IP packet on the wire.
    pub ip_length: u32,
    /// Octets of the payload on the wire, captured or not.
    pub payload_length: u32,
    /// The layers that the packet has.
    pub layers: Layers,
    /// Which way it goes.
    pub direction: Direction,
    /// The transport protocol's IANA number.
    pub protocol: u8,
}

impl<'a> Packet<'a> {
    /// Makes a packet from what a dissector found; for hosts and for tests of chains.
    ///
    /// Layers whose header is shorter than [`Parts`] demands are taken as absent, so that the
    /// readers cannot fail.
    #[inline]
    pub fn new(parts: Parts<'a>) -> Packet<'a> {
        let mut layers = parts.layers.0;
        let is_v6 = layers & Layers::IP6.0 != 0;
        if parts.ip.len() < if is_v6 { place::ipv6::HEADER } else { place::ipv4::HEADER } {
            layers = 0;
        }
        if parts.transport.len() < place::tcp::HEADER {
            layers &= !Layers::TCP.0;
        }
        if parts.transport.len() < place::udp::HEADER.max(place::icmp::HEADER) {
            layers &= !Layers::UDP.and(Layers::ICMP).0;
        }
        Packet {
            time_ns: parts.time_ns,
            ip: Bytes::new(parts.ip),
            transport: Bytes::new(parts.transport),
            payload: Bytes::new(parts.payload),
            ip_length: parts.ip_length,
            payload_length: parts.payload_length,
            layers,
            reverse: parts.direction == Direction::Reverse,
            protocol: parts.protocol,
            wire_length: parts.ip_length,
        }
    }

    /// The same packet with the octets that it took on the wire, padding included.
    #[inline]
    #[must_use]
    pub fn on_wire(mut self, octets: u32) -> Packet<'a> {
        self.wire_length = octets;
        self
    }

    /// The same ICMP message without its layer of IP: only chains that look at ICMP see it. It is
    /// the network's word on the flow, and no packet of either side.
    #[inline]
    #[must_use]
    pub fn as_error(mut self) -> Packet<'a> {
        self.layers &= Layers::ICMP.0;
        self
    }

    /// Capture time, nanoseconds since the Unix epoch.
    #[inline]
    pub fn time_ns(&self) -> i64 {
        self.time_ns
    }

    /// Which way it goes.
    #[inline]
    pub fn direction(&self) -> Direction {
        if self.reverse { Direction::Reverse } else { Direction::Forward }
    }

    /// The layers it has.
    #[inline]
    pub fn layers(&self) -> Layers {
        Layers(self.layers)
    }

    /// The transport protocol's IANA number, also where its header is missing.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Octets of the whole IP packet on the wire.
    #[inline]
    pub fn ip_length(&self) -> u32 {
        self.ip_length
    }

    /// Octets on the wire from the IP header on: the whole IP packet, and what the link layer may
    /// have added to fill its frame.
    #[inline]
    pub fn wire_length(&self) -> u32 {
        self.wire_length
    }

    /// The IP header.
    #[inline]
    pub fn ip(&self) -> Ip<'_> {
        let is_v6 = self.layers & Layers::IP6.and(Layers::ICMP6).0 != 0;
        Ip { bytes: self.ip.get(), is_v6 }
    }

    /// The TCP header, where there is a whole one.
    #[inline]
    pub fn tcp(&self) -> Option<Tcp<'_>> {
        (self.layers & Layers::TCP.0 != 0).then(|| Tcp { bytes: self.transport.get() })
    }

    /// The UDP header, where there is a whole one.
    #[inline]
    pub fn udp(&self) -> Option<Udp<'_>> {
        (self.layers & Layers::UDP.0 != 0).then(|| Udp { bytes: self.transport.get() })
    }

    /// The ICMP header of either version, where there is a whole one.
    #[inline]
    pub fn icmp(&self) -> Option<Icmp<'_>> {
        (self.layers & Layers::ICMP.0 != 0).then(|| Icmp {
            header: self.transport.get(),
            body: self.payload.get(),
            is_v6: self.layers & Layers::ICMP6.0 != 0,
        })
    }

    /// The sender's and the receiver's port, where the packet's transport protocol has ports
    /// (TCP, UDP, UDP-Lite, SCTP) and its header is there.
    #[inline]
    pub fn ports(&self) -> Option<(u16, u16)> {
        use protocol::{SCTP, TCP, UDP, UDP_LITE};
        let transport = self.transport.get();
        let port = |at| be16(transport, at);
        let has_ports = matches!(self.protocol, TCP | UDP | UDP_LITE | SCTP);
        (has_ports && transport.len() >= place::udp::LENGTH)
            .then(|| (port(place::udp::SOURCE_PORT), port(place::udp::DESTINATION_PORT)))
    }

    /// The octets of the transport header as they are on the wire, options included; empty where there
    /// is none, as in a later fragment. [`payload`](Packet::payload) follows it.
    #[inline]
    pub fn transport(&self) -> &[u8] {
        self.transport.get()
    }

    /// The whole IP packet, as far as it was captured.
    pub fn octets(&self) -> Vec<u8> {
        [self.ip.get(), self.transport.get(), self.payload.get()].concat()
    }

    /// The transport payload, as far as it was captured: of a datagram, what its length says. What
    /// follows in the IP packet is its [`surplus`](Packet::surplus).
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.halves().0
    }

    /// What follows a datagram in its IP packet, beyond its length, as far as it was captured: the place
    /// of UDP options (RFC 9868). Empty in other protocols.
    #[inline]
    pub fn surplus(&self) -> &[u8] {
        self.halves().1
    }

    /// Octets of the transport payload on the wire, captured or not.
    #[inline]
    pub fn payload_length(&self) -> u32 {
        self.payload_length.min(self.datagram_length().unwrap_or(u32::MAX))
    }

    #[inline]
    fn halves(&self) -> (&[u8], &[u8]) {
        let all = self.payload.get();
        let own = self.datagram_length().map_or(all.len(), |octets| octets as usize);
        all.split_at(own.min(all.len()))
    }

    /// Octets of a datagram's data by its own length. A jumbogram's is 0 (RFC 2675, section 4).
    #[inline]
    fn datagram_length(&self) -> Option<u32> {
        u32::from(self.udp()?.length()).checked_sub(8)
    }
}

/// A slice of bytes in C's terms.
#[repr(C)]
struct Bytes<'a> {
    start: *const u8,
    length: usize,
    lifetime: PhantomData<&'a [u8]>,
}

impl<'a> Bytes<'a> {
    #[inline]
    fn new(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes { start: bytes.as_ptr(), length: bytes.len(), lifetime: PhantomData }
    }

    #[inline]
    #[allow(unsafe_code)]
    fn get(&self) -> &'a [u8] {
        // SAFETY: made by `new` alone, from a slice that lives for 'a.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

/// Reads a big-endian number; callers keep `at` within the length that `Packet::new` checked.
#[inline]
fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline]
fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
