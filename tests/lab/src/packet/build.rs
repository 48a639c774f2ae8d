//! Owns the packets a path makes itself: ICMP errors that quote what they are about, resets, and
//! the scripted answers of a target that has no kernel.

use std::net::IpAddr;

use etherparse::{IpNumber, icmpv4, icmpv6};

use super::field::{dns, icmp, ipv4, ipv6, tcp, udp};
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
        use icmpv4::*;
        Some(match self {
            Self::NetUnreachable => (TYPE_DEST_UNREACH, CODE_DST_UNREACH_NET),
            Self::HostUnreachable => (TYPE_DEST_UNREACH, CODE_DST_UNREACH_HOST),
            Self::ProtocolUnreachable => (TYPE_DEST_UNREACH, CODE_DST_UNREACH_PROTOCOL),
            Self::PortUnreachable => (TYPE_DEST_UNREACH, CODE_DST_UNREACH_PORT),
            Self::AdminProhibited => (TYPE_DEST_UNREACH, CODE_DST_UNREACH_FILTER_PROHIB),
            Self::TooBig => (TYPE_DEST_UNREACH, CODE_DST_UNREACH_NEED_FRAG),
            Self::TimeExceeded => (TYPE_TIME_EXCEEDED, CODE_TIME_EXCEEDED_TTL_EXCEEDED_IN_TRANSIT),
            Self::ReassemblyTimeExceeded => {
                (TYPE_TIME_EXCEEDED, CODE_TIME_EXCEEDED_FRAG_REASSEMBLY_TIME_EXCEEDED)
            }
            Self::Redirect => (TYPE_REDIRECT, CODE_REDIRECT_FOR_HOST),
            // The only code that there is.
            Self::SourceQuench => (TYPE_SOURCE_QUENCH, 0),
            Self::ParameterProblem => {
                (TYPE_PARAMETER_PROBLEM, CODE_PARAMETER_PROBLEM_POINTER_INDICATES_ERROR)
            }
            Self::ExtensionUnknown
            | Self::ExtensionTooBig
            | Self::OptionUnknown
            | Self::HeadersTooLong => return None,
        })
    }

    /// Type and code in ICMPv6 (RFC 4443), where it has the error.
    fn ipv6(self) -> Option<(u8, u8)> {
        use icmpv6::*;
        /// Why a packet was discarded whose headers are too long (RFC 8883).
        const CODE_DST_UNREACH_HEADERS_TOO_LONG: u8 = 8;
        Some(match self {
            Self::NetUnreachable => (TYPE_DST_UNREACH, CODE_DST_UNREACH_NO_ROUTE),
            Self::HostUnreachable => (TYPE_DST_UNREACH, CODE_DST_UNREACH_ADDR),
            Self::AdminProhibited => (TYPE_DST_UNREACH, CODE_DST_UNREACH_PROHIBITED),
            Self::PortUnreachable => (TYPE_DST_UNREACH, CODE_DST_UNREACH_PORT),
            Self::HeadersTooLong => (TYPE_DST_UNREACH, CODE_DST_UNREACH_HEADERS_TOO_LONG),
            // The only code that there is.
            Self::TooBig => (TYPE_PACKET_TOO_BIG, 0),
            Self::TimeExceeded => (TYPE_TIME_EXCEEDED, CODE_TIME_EXCEEDED_HOP_LIMIT_EXCEEDED),
            Self::ReassemblyTimeExceeded => {
                (TYPE_TIME_EXCEEDED, CODE_TIME_EXCEEDED_FRAGMENT_REASSEMBLY_TIME_EXCEEDED)
            }
            Self::ProtocolUnreachable => {
                (TYPE_PARAMETER_PROBLEM, CODE_PARAM_PROBLEM_UNRECOG_NEXT_HEADER)
            }
            Self::ParameterProblem => (TYPE_PARAMETER_PROBLEM, CODE_PARAM_PROBLEM_ERR_HEADER_FIELD),
            Self::OptionUnknown => (TYPE_PARAMETER_PROBLEM, CODE_PARAM_PROBLEM_UNRECOG_IPV6_OPTION),
            Self::ExtensionUnknown => (
                TYPE_PARAMETER_PROBLEM,
                CODE_PARAM_PROBLEM_UNRECOG_NEXT_HEADER_BY_INTERMEDIATE_NODE,
            ),
            Self::ExtensionTooBig => {
                (TYPE_PARAMETER_PROBLEM, CODE_PARAM_PROBLEM_EXT_HEADER_TOO_BIG)
            }
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

/// The smallest packets that everybody takes (RFC 1122, section 3.3.2; RFC 8200, section 5): errors are no
/// longer.
const SMALLEST: (usize, usize) = (576, 1280);

/// The least that is quoted where something follows.
const EXTENDED: usize = 128;

/// Where the length of the quote is then, and in units of how many octets: in ICMP and in ICMPv6.
const QUOTE_LENGTH: [(usize, usize); 2] = [(5, 4), (4, 8)];

/// What follows it: the head of the extensions (version 2, no checksum), and an object of MPLS' class with
/// one label, its time to live 1.
const MPLS: [u8; 12] = [0x20, 0, 0, 0, 0, 8, 1, 1, 0, 1, 0x21, 1];

/// Where a scripted target begins to count: any number does, and this one is always the same, as all in
/// the lab is.
const FIRST_SEQUENCE: u32 = 0x1ab0_0000;

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
        let most = if self.is_ipv6() {
            SMALLEST.1 - ipv6::HEADER - icmp::HEADER
        } else {
            SMALLEST.0 - ipv4::HEADER - icmp::HEADER
        };
        let quoted = match quote {
            Quote::Most => most,
            Quote::Bytes(bytes) => bytes,
            Quote::Extended => EXTENDED,
        };
        let quoted = &self.bytes[..quoted.min(self.bytes.len())];
        let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
        if error == IcmpError::TooBig {
            message[icmp::MTU].copy_from_slice(&mtu.to_be_bytes());
        }
        message.extend(quoted);
        if quote == Quote::Extended {
            message.resize(icmp::HEADER + EXTENDED, 0);
            let (at, unit) = QUOTE_LENGTH[usize::from(self.is_ipv6())];
            message[at] = (EXTENDED / unit) as u8;
            message.extend(MPLS);
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
        let message = &mut self.bytes[self.transport..];
        let field = icmp::CHECKSUM..icmp::CHECKSUM + 2;
        message[field.clone()].fill(0);
        let computed = checksum::finish(checksum::sum(message, 0));
        message[field].copy_from_slice(&computed.to_be_bytes());
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
            (false, true) => FIRST_SEQUENCE,
            (false, false) => 0,
        };
        let acknowledging = reply.flags & flag::ACK != 0;
        let acknowledge = if acknowledging { sequence.wrapping_add(taken) } else { 0 };
        let mut segment = Vec::with_capacity(tcp::HEADER + reply.data.len());
        segment.extend(to.to_be_bytes());
        segment.extend(from.to_be_bytes());
        segment.extend(own.to_be_bytes());
        segment.extend(acknowledge.to_be_bytes());
        let window = if reply.flags & flag::RST != 0 { 0 } else { u16::MAX };
        let offset = u16::from(tcp::offset(0)) << 8;
        segment.extend((offset | (reply.flags & flag::ALL)).to_be_bytes());
        segment.extend(window.to_be_bytes());
        // The checksum, which comes later, and the urgent pointer.
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
        if !self.is_udp() || self.data().len() < dns::HEADER {
            return None;
        }
        let mut datagram = self.bytes[self.transport..].to_vec();
        let message = &mut datagram[udp::HEADER..];
        let [high, low, ..] = *message else { return None };
        let id = u16::from_be_bytes([high, low]).wrapping_add(id_off);
        message[dns::IDENTIFIER].copy_from_slice(&id.to_be_bytes());
        message[dns::FLAGS] |= dns::RESPONSE;
        if other_question && let Some(class) = message.last_mut() {
            *class = class.wrapping_add(2);
        }
        let (from, to) = self.ports()?;
        for (at, port) in [(tcp::SOURCE, to), (tcp::DESTINATION, from)] {
            datagram[at..at + 2].copy_from_slice(&port.to_be_bytes());
        }
        Packet::assemble(self.destination(), self.source(), IpNumber::UDP, datagram)
    }

    fn may_be_answered(&self) -> bool {
        let kind = self.bytes.get(self.transport).copied();
        match self.protocol {
            _ if self.fragmented && !self.whole => false,
            IpNumber::ICMP => {
                matches!(kind, Some(icmpv4::TYPE_ECHO_REPLY | icmpv4::TYPE_ECHO_REQUEST))
            }
            IpNumber::IPV6_ICMP => kind.is_some_and(|kind| kind >= icmp::FIRST_OF_V6),
            _ => true,
        }
    }

    /// A packet with a plain IP header around `body`, every checksum but ICMP's right.
    fn assemble(from: IpAddr, to: IpAddr, protocol: IpNumber, body: Vec<u8>) -> Option<Packet> {
        const TTL: u8 = 64;
        let mut bytes = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header = vec![0; ipv4::SOURCE];
                header[0] = ipv4::FIRST;
                header[ipv4::FLAGS] = (ipv4::DONT_FRAGMENT >> 8) as u8;
                header[ipv4::TTL] = TTL;
                header[ipv4::PROTOCOL] = protocol.0;
                header.extend(from.octets());
                header.extend(to.octets());
                header
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let mut header = vec![0; ipv6::SOURCE];
                header[0] = ipv6::FIRST;
                header[ipv6::NEXT_HEADER] = protocol.0;
                header[ipv6::HOP_LIMIT] = TTL;
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
