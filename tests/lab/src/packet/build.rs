//! Owns the packets a path makes itself: ICMP errors that quote what they are about, resets, and
//! the scripted answers of a target that has no kernel.

use std::net::IpAddr;

use etherparse::IpNumber;

use super::{Packet, TcpOption, checksum, flag};

/// The ICMP errors a router can send, by what they mean; each has its form in both versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IcmpError {
    /// No route to the network.
    NetUnreachable,
    /// The host does not answer its neighbours.
    HostUnreachable,
    /// The host does not speak the protocol; IPv6 calls it an unknown next header.
    ProtocolUnreachable,
    /// Nobody listens on the port.
    PortUnreachable,
    /// A filter forbids it.
    AdminProhibited,
    /// The packet is too big for the next link; `mtu` says what fits.
    TooBig,
    /// The time to live ran out.
    TimeExceeded,
    /// Fragments were missing when the time to wait for them ran out.
    ReassemblyTimeExceeded,
    /// Another router is nearer; ICMP alone has it as a message that quotes.
    Redirect,
    /// Packets come too fast; ICMP alone has it.
    SourceQuench,
    /// A header field makes no sense.
    ParameterProblem,
    /// A router does not know an extension header of IPv6 (RFC 8883); ICMP has no such error.
    ExtensionUnknown,
    /// An extension header of IPv6 is too big for a router (RFC 8883).
    ExtensionTooBig,
    /// A destination option, or one for each hop, is not known (RFC 8200, section 4.2).
    OptionUnknown,
    /// The headers are too long for a router (RFC 8883).
    HeadersTooLong,
}

impl IcmpError {
    /// Type and code in ICMP, where it has the error.
    fn ipv4(self) -> Option<(u8, u8)> {
        Some(match self {
            Self::NetUnreachable => (3, 0),
            Self::HostUnreachable => (3, 1),
            Self::ProtocolUnreachable => (3, 2),
            Self::PortUnreachable => (3, 3),
            Self::AdminProhibited => (3, 13),
            Self::TooBig => (3, 4),
            Self::TimeExceeded => (11, 0),
            Self::ReassemblyTimeExceeded => (11, 1),
            Self::Redirect => (5, 1),
            Self::SourceQuench => (4, 0),
            Self::ParameterProblem => (12, 0),
            Self::ExtensionUnknown
            | Self::ExtensionTooBig
            | Self::OptionUnknown
            | Self::HeadersTooLong => return None,
        })
    }

    /// Type and code in ICMPv6 (RFC 4443), where it has the error.
    fn ipv6(self) -> Option<(u8, u8)> {
        Some(match self {
            Self::NetUnreachable => (1, 0),
            Self::HostUnreachable => (1, 3),
            Self::AdminProhibited => (1, 1),
            Self::PortUnreachable => (1, 4),
            Self::TooBig => (2, 0),
            Self::TimeExceeded => (3, 0),
            Self::ReassemblyTimeExceeded => (3, 1),
            Self::ProtocolUnreachable => (4, 1),
            Self::ParameterProblem => (4, 0),
            Self::OptionUnknown => (4, 2),
            Self::ExtensionUnknown => (4, 5),
            Self::ExtensionTooBig => (4, 6),
            Self::HeadersTooLong => (1, 8),
            Self::Redirect | Self::SourceQuench => return None,
        })
    }
}

/// How much of the packet an ICMP error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// As much as fits the smallest packet everyone can take: 576 bytes, or 1,280.
    Most,
    /// The first so many bytes.
    Bytes(usize),
    /// The first 128, perhaps with padding, and a label of MPLS behind them (RFC 4884, RFC 4950).
    Extended,
}

/// The least that is quoted where something follows.
const EXTENDED: usize = 128;

/// What a scripted target answers to a TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The flags.
    pub flags: u16,
    /// The options.
    pub options: Vec<TcpOption>,
    /// The data.
    pub data: Vec<u8>,
}

impl Packet {
    /// The ICMP error that `router` sends back about this packet.
    ///
    /// `None` where none may be sent: about another ICMP error (RFC 1122, section 3.2.2), a later
    /// fragment, or across versions; and where the version has no such error.
    pub fn icmp_error(
        &self,
        router: IpAddr,
        error: IcmpError,
        mtu: u16,
        quote: Quote,
    ) -> Option<Packet> {
        if router.is_ipv6() != self.is_ipv6() || !self.may_be_answered() {
            return None;
        }
        let (kind, code) = if self.is_ipv6() { error.ipv6()? } else { error.ipv4()? };
        let most = if self.is_ipv6() { 1280 - 48 } else { 576 - 28 };
        let quoted = match quote {
            Quote::Most => most,
            Quote::Bytes(bytes) => bytes,
            Quote::Extended => EXTENDED,
        };
        let quoted = &self.bytes[..quoted.min(self.bytes.len())];
        let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
        if error == IcmpError::TooBig {
            message[6..8].copy_from_slice(&mtu.to_be_bytes());
        }
        message.extend(quoted);
        if quote == Quote::Extended {
            message.resize(8 + EXTENDED, 0);
            let (at, word) = if self.is_ipv6() { (4, 8) } else { (5, 4) };
            message[at] = (EXTENDED / word) as u8;
            message.extend([0x20, 0, 0, 0, 0, 8, 1, 1, 0, 1, 0x21, 1]);
        }
        let protocol = if self.is_ipv6() { IpNumber::IPV6_ICMP } else { IpNumber::ICMP };
        let mut packet = Packet::assemble(router, self.source(), protocol, message)?;
        if !self.is_ipv6() {
            packet.fill_icmp_checksum();
        }
        Some(packet)
    }

    /// Puts the checksum of an ICMP message right, which covers no addresses.
    pub(super) fn fill_icmp_checksum(&mut self) {
        let at = self.transport;
        self.bytes[at + 2..at + 4].fill(0);
        let computed = checksum::finish(checksum::sum(&self.bytes[at..], 0));
        self.bytes[at + 2..at + 4].copy_from_slice(&computed.to_be_bytes());
    }

    /// The reset that seems to come from the other end; `None` for anything but TCP, and for resets.
    pub fn reset(&self) -> Option<Packet> {
        let flags = self.tcp_flags().filter(|flags| flags & flag::RST == 0)?;
        // RFC 9293, section 3.10.7.1: what has an acknowledgement is answered with its number.
        let reply = if flags & flag::ACK != 0 { flag::RST } else { flag::RST | flag::ACK };
        self.tcp_reply(&Reply { flags: reply, options: Vec::new(), data: Vec::new() })
    }

    /// The segment a target would answer with that remembers nothing: its numbers follow from this
    /// packet alone.
    pub fn tcp_reply(&self, reply: &Reply) -> Option<Packet> {
        let flags = self.tcp_flags()?;
        let ((sequence, acknowledged), (from, to)) = (self.tcp_numbers()?, self.ports()?);
        let taken = self.data().len() as u32
            + u32::from(flags & flag::SYN != 0)
            + u32::from(flags & flag::FIN != 0);
        let own = match (flags & flag::ACK != 0, reply.flags & flag::SYN != 0) {
            // The SYN once more that a SYN/ACK acknowledges.
            (true, true) if flags & flag::SYN != 0 => acknowledged.wrapping_sub(1),
            (true, _) => acknowledged,
            // Any number does for a first one; this one is always the same, as all in the lab is.
            (false, true) => 0x1ab0_0000,
            (false, false) => 0,
        };
        let acknowledging = reply.flags & flag::ACK != 0;
        let acknowledge = if acknowledging { sequence.wrapping_add(taken) } else { 0 };
        let mut segment = Vec::with_capacity(40);
        segment.extend(to.to_be_bytes());
        segment.extend(from.to_be_bytes());
        segment.extend(own.to_be_bytes());
        segment.extend(acknowledge.to_be_bytes());
        let window: u16 = if reply.flags & flag::RST != 0 { 0 } else { 0xffff };
        segment.extend((5 << 12 | (reply.flags & flag::ALL)).to_be_bytes());
        segment.extend(window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(&reply.data);
        let mut packet =
            Packet::assemble(self.destination(), self.source(), IpNumber::TCP, segment)?;
        packet.set_tcp_options(&reply.options);
        Some(packet)
    }

    /// A response without records to a DNS query over UDP, its identifier off by so much, and its
    /// question perhaps of another class.
    pub fn dns_reply(&self, id_off: u16, other_question: bool) -> Option<Packet> {
        const FLAGS: usize = 8 + 2;
        if !self.is_udp() || self.data().len() < 12 {
            return None;
        }
        let mut datagram = self.bytes[self.transport..].to_vec();
        let id = u16::from_be_bytes([datagram[8], datagram[9]]).wrapping_add(id_off);
        datagram[8..10].copy_from_slice(&id.to_be_bytes());
        datagram[FLAGS] |= 0x80;
        if other_question && let Some(class) = datagram.last_mut() {
            *class = class.wrapping_add(2);
        }
        let (from, to) = self.ports()?;
        datagram[..2].copy_from_slice(&to.to_be_bytes());
        datagram[2..4].copy_from_slice(&from.to_be_bytes());
        Packet::assemble(self.destination(), self.source(), IpNumber::UDP, datagram)
    }

    fn may_be_answered(&self) -> bool {
        let kind = self.bytes.get(self.transport).copied();
        match self.protocol {
            _ if self.fragmented && !self.whole => false,
            IpNumber::ICMP => matches!(kind, Some(0 | 8)),
            IpNumber::IPV6_ICMP => kind.is_some_and(|kind| kind >= 128),
            _ => true,
        }
    }

    /// A packet with a plain IP header around `body`, every checksum but ICMP's right.
    fn assemble(from: IpAddr, to: IpAddr, protocol: IpNumber, body: Vec<u8>) -> Option<Packet> {
        const TTL: u8 = 64;
        let mut bytes = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, TTL, protocol.0, 0, 0];
                header.extend(from.octets());
                header.extend(to.octets());
                header
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol.0, TTL];
                header.extend(from.octets());
                header.extend(to.octets());
                header
            }
            _ => return None,
        };
        let transport = bytes.len();
        bytes.extend(body);
        let mut packet = Packet {
            bytes,
            transport,
            protocol,
            fragmented: false,
            whole: true,
            leave_checksums: false,
        };
        packet.fit_lengths();
        Some(packet)
    }
}
