//! Owns packets as a path sees them: bytes of one IP packet, where its parts lie, and readers that
//! cannot fail. Editing is in `edit` and `options`, making new ones in `build`, cutting in `cut`.
//! `field` says what lies where in a header.

mod build;
mod checksum;
mod cut;
mod edit;
mod field;
mod options;
mod tls;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{IpNumber, LaxIpSlice};

use field::{class, icmp, ipv4, ipv6, quic, tcp, udp};

pub use build::{IcmpError, Quote, Reply};
pub use options::TcpOption;

/// The flags of a TCP header: its flag byte, and AE above it.
pub mod flag {
    /// The sender has finished.
    pub const FIN: u16 = 0x01;
    /// A connection begins.
    pub const SYN: u16 = 0x02;
    /// The connection is reset.
    pub const RST: u16 = 0x04;
    /// Data is to be handed on at once.
    pub const PSH: u16 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u16 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u16 = 0x20;
    /// Congestion was experienced (RFC 3168).
    pub const ECE: u16 = 0x40;
    /// The congestion window was reduced (RFC 3168).
    pub const CWR: u16 = 0x80;
    /// Accurate ECN (RFC 9768).
    pub const AE: u16 = 0x100;
    /// The three that ask for Accurate ECN, and are its field ACE afterwards.
    pub const ACE: u16 = AE | CWR | ECE;
    /// How far left ACE is.
    pub const ACE_LEFT: u16 = 6;
    /// All that there are.
    pub const ALL: u16 = 0x1ff;
}

/// One IPv4 or IPv6 packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    bytes: Vec<u8>,
    /// Where the transport header begins.
    transport: usize,
    protocol: IpNumber,
    fragmented: bool,
    /// Whether the transport header is here whole: false in later fragments and cut packets.
    whole: bool,
    /// Whether edits leave the checksums as they are, wrong.
    leave_checksums: bool,
}

impl Packet {
    /// Takes the bytes of a packet; `None` when they are not one of IPv4 or IPv6.
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        let (slice, _) = LaxIpSlice::from_slice(&bytes).ok()?;
        let payload = slice.payload();
        let transport = payload.payload.as_ptr() as usize - bytes.as_ptr() as usize;
        let (protocol, fragmented) = (payload.ip_number, payload.fragmented);
        // Only the first fragment begins with a transport header.
        let first = !fragmented || fragment_offset(&bytes, &slice) == 0;
        let mut whole = first && payload.payload.len() >= least(protocol);
        if whole && protocol == IpNumber::TCP {
            let length = tcp::header_length(payload.payload[tcp::OFFSET]);
            whole = (tcp::HEADER..=payload.payload.len()).contains(&length);
        }
        Some(Self { transport, protocol, fragmented, whole, leave_checksums: false, bytes })
    }

    /// The packet's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the bytes back.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Whether it is IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.bytes[0] >> 4 == 6
    }

    /// Where it comes from.
    pub fn source(&self) -> IpAddr {
        if self.is_ipv6() {
            Ipv6Addr::from(self.array::<16>(ipv6::SOURCE)).into()
        } else {
            Ipv4Addr::from(self.array::<4>(ipv4::SOURCE)).into()
        }
    }

    /// Where it goes to.
    pub fn destination(&self) -> IpAddr {
        if self.is_ipv6() {
            Ipv6Addr::from(self.array::<16>(ipv6::DESTINATION)).into()
        } else {
            Ipv4Addr::from(self.array::<4>(ipv4::DESTINATION)).into()
        }
    }

    /// Time to live, or hop limit.
    pub fn ttl(&self) -> u8 {
        self.bytes[if self.is_ipv6() { ipv6::HOP_LIMIT } else { ipv4::TTL }]
    }

    /// Type of service, or traffic class: six bits of DSCP and two of ECN.
    pub fn traffic_class(&self) -> u8 {
        let (bits, left) = ipv6::CLASS;
        if self.is_ipv6() { ((self.word(0) & bits) >> left) as u8 } else { self.bytes[ipv4::CLASS] }
    }

    /// The code point of the traffic class (RFC 2474).
    pub fn dscp(&self) -> u8 {
        self.traffic_class() >> class::DSCP_LEFT
    }

    /// The ECN field of the traffic class (RFC 3168).
    pub fn ecn(&self) -> u8 {
        self.traffic_class() & class::ECN
    }

    /// The transport protocol.
    pub fn protocol(&self) -> IpNumber {
        self.protocol
    }

    /// Whether it is a fragment, the first or a later one.
    pub fn is_fragment(&self) -> bool {
        self.fragmented
    }

    /// Whether the reserved flag of IPv4 is set.
    pub fn is_evil(&self) -> bool {
        !self.is_ipv6() && self.word(ipv4::FLAGS) & ipv4::RESERVED != 0
    }

    /// Source and destination port of a whole TCP or UDP header.
    pub fn ports(&self) -> Option<(u16, u16)> {
        let has_ports = self.protocol == IpNumber::TCP || self.protocol == IpNumber::UDP;
        let port = |at| self.word(self.transport + at);
        (self.whole && has_ports).then(|| (port(tcp::SOURCE), port(tcp::DESTINATION)))
    }

    /// Whether there is a whole TCP header.
    pub fn is_tcp(&self) -> bool {
        self.whole && self.protocol == IpNumber::TCP
    }

    /// Whether there is a whole UDP header.
    pub fn is_udp(&self) -> bool {
        self.whole && self.protocol == IpNumber::UDP
    }

    /// The TCP flags.
    pub fn tcp_flags(&self) -> Option<u16> {
        self.is_tcp().then(|| self.word(self.transport + tcp::OFFSET) & flag::ALL)
    }

    /// Whether it is a SYN without ACK.
    pub fn is_syn(&self) -> bool {
        self.tcp_flags().is_some_and(|flags| flags & (flag::SYN | flag::ACK) == flag::SYN)
    }

    /// The TCP options as bytes, padding among them.
    pub fn tcp_options(&self) -> Option<&[u8]> {
        self.is_tcp().then(|| &self.bytes[self.transport + tcp::HEADER..self.data_start()])
    }

    /// What the transport header carries; for a transport the lab does not know, all of it.
    pub fn data(&self) -> &[u8] {
        if self.whole { &self.bytes[self.data_start()..self.data_end()] } else { &[] }
    }

    /// The version in a long header of QUIC that begins a datagram (RFC 8999, section 5.1).
    pub fn quic_version(&self) -> Option<u32> {
        let (&[first, a, b, c, d], _) = self.datagram()?.split_first_chunk()?;
        (first & quic::LONG != 0).then(|| u32::from_be_bytes([a, b, c, d]))
    }

    /// Whether a datagram begins with the bit that QUIC fixes to 1.
    pub fn quic_fixed_bit(&self) -> Option<bool> {
        Some(self.datagram()?.first()? & quic::FIXED != 0)
    }

    /// Whether TCP data begin with a ClientHello that has an extension of this number.
    pub fn has_tls_extension(&self, number: u16) -> bool {
        self.is_tcp() && tls::has_extension(self.data(), number) == Some(true)
    }

    /// The data of a UDP datagram.
    fn datagram(&self) -> Option<&[u8]> {
        self.is_udp().then(|| self.data())
    }

    /// What follows a UDP datagram in its packet.
    pub fn surplus(&self) -> &[u8] {
        &self.bytes[self.data_end()..]
    }

    /// Where the transport's data end: before the packet's end where UDP says so.
    fn data_end(&self) -> usize {
        let all = self.bytes.len();
        if !self.is_udp() || self.fragmented {
            return all;
        }
        // A length that cannot be is left to whoever receives it.
        let end = self.transport + usize::from(self.word(self.transport + udp::LENGTH.start));
        if (self.transport + udp::HEADER..all).contains(&end) { end } else { all }
    }

    /// IPv6's flow label.
    pub fn flow_label(&self) -> Option<u32> {
        self.is_ipv6().then(|| u32::from_be_bytes(self.array(0)) & ipv6::FLOW_LABEL)
    }

    /// How many bytes of IPv6 extension headers there are; `None` in IPv4.
    pub fn extensions_size(&self) -> Option<usize> {
        self.is_ipv6().then(|| self.transport - ipv6::HEADER)
    }

    /// Whether there is an IPv6 extension header of this number.
    pub fn has_extension(&self, number: u8) -> bool {
        if !self.is_ipv6() {
            return false;
        }
        let (mut next, mut at) = (self.bytes[ipv6::NEXT_HEADER], ipv6::HEADER);
        while at < self.transport {
            if next == number {
                return true;
            }
            let Some(&[following, length]) = self.bytes[at..].first_chunk() else { return false };
            at += ipv6::extension_length(next, length);
            next = following;
        }
        false
    }

    /// TCP sequence and acknowledgement number.
    pub(crate) fn tcp_numbers(&self) -> Option<(u32, u32)> {
        let number = |at| u32::from_be_bytes(self.array(self.transport + at));
        self.is_tcp().then(|| (number(tcp::SEQUENCE), number(tcp::ACKNOWLEDGMENT)))
    }

    /// The UDP checksum as sent; 0 means none was computed.
    pub fn udp_checksum(&self) -> Option<u16> {
        self.is_udp().then(|| self.word(self.transport + udp::CHECKSUM))
    }

    fn data_start(&self) -> usize {
        self.transport
            + match self.protocol {
                IpNumber::TCP => tcp::header_length(self.bytes[self.transport + tcp::OFFSET]),
                protocol => least(protocol),
            }
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.array(at))
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|index| self.bytes[at + index])
    }
}

/// The octets of a transport's header, without options; 0 for one that the lab does not know.
fn least(protocol: IpNumber) -> usize {
    match protocol {
        IpNumber::TCP => tcp::HEADER,
        IpNumber::UDP => udp::HEADER,
        IpNumber::ICMP | IpNumber::IPV6_ICMP => icmp::HEADER,
        _ => 0,
    }
}

/// In units of eight bytes, whichever the version.
fn fragment_offset(bytes: &[u8], slice: &LaxIpSlice<'_>) -> u16 {
    match slice {
        LaxIpSlice::Ipv4(_) => {
            u16::from_be_bytes([bytes[ipv4::FLAGS], bytes[ipv4::FLAGS + 1]]) & ipv4::PLACE
        }
        LaxIpSlice::Ipv6(ipv6) => ipv6
            .extensions()
            .clone()
            .into_iter()
            .find_map(|extension| match extension {
                etherparse::Ipv6ExtensionSlice::Fragment(fragment) => {
                    Some(fragment.fragment_offset().value())
                }
                _ => None,
            })
            .unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
