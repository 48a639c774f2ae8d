//! Slices one IP packet into headers and payload, once for all chains, and names its flow.
//!
//! Lengths are checked against each other and against what was captured; a packet whose lengths
//! contradict each other is malformed, and nothing of it is used. Checksums are not verified:
//! on the sending machine, network cards fill them in after the capture.

mod quote;

use pathspider_plugin_api::packet::place::{self, icmp, tcp, udp};
use pathspider_plugin_api::packet::{Extensions, Layers, TcpFlags, protocol};

use super::counters::Malformed;
use super::key::{Address, Tuple};

/// Octets of the header of SCTP (RFC 9260, section 3.1).
const SCTP_HEADER: usize = 12;

/// One packet, sliced.
#[derive(Debug)]
pub struct Dissected<'a> {
    /// Whose it is.
    pub tuple: Tuple,
    /// Whether it is a part of a packet, and which.
    pub fragment: Fragment,
    /// The sequence number of a SYN without ACK and RST: the beginning of a TCP connection.
    pub opening: Option<u32>,
    /// The IP header, with IPv6's extension headers.
    pub ip: &'a [u8],
    /// The transport header.
    pub transport: &'a [u8],
    /// What follows it.
    pub payload: &'a [u8],
    /// Octets of the frame from the IP header on.
    pub wire: u32,
    /// Octets of the IP packet, by its header.
    pub ip_length: u32,
    /// Octets of the payload, by the headers; captured may be less.
    pub payload_length: u32,
    /// Which headers there are.
    pub layers: Layers,
}

/// The beginning of a packet, as an ICMP error quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote<'a> {
    pub tuple: Tuple,
    /// Set where the quoted packet is a later fragment, whose ports are not in the quote.
    pub fragment: Option<FragmentId>,
    pub transport: &'a [u8],
}

/// A packet's place in a fragmented one, and that one's identification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// It is not fragmented.
    None,
    /// It begins the packet, so it has the ports.
    First(u32),
    /// It does not.
    Later(u32),
}

impl Fragment {
    #[inline]
    fn new(offset: u16, identification: u32) -> Fragment {
        if offset == 0 { Fragment::First(identification) } else { Fragment::Later(identification) }
    }
}

/// What the fragments of one packet have in common (RFC 791, section 3.2; RFC 8200, section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FragmentId {
    source: Address,
    destination: Address,
    identification: u32,
    protocol: u8,
    is_v6: bool,
}

impl FragmentId {
    /// Of a packet with these addresses and this identification. In version 6, later fragments do not
    /// name the protocol where extension headers follow the fragment header, and need not.
    pub fn new(tuple: &Tuple, identification: u32) -> FragmentId {
        FragmentId {
            source: tuple.source,
            destination: tuple.destination,
            identification,
            protocol: if tuple.is_v6 { 0 } else { tuple.protocol },
            is_v6: tuple.is_v6,
        }
    }
}

impl<'a> Dissected<'a> {
    /// Nothing, to slice a packet into.
    pub const NONE: Dissected<'static> = Dissected {
        tuple: Tuple::NONE,
        fragment: Fragment::None,
        opening: None,
        ip: &[],
        transport: &[],
        payload: &[],
        wire: 0,
        ip_length: 0,
        payload_length: 0,
        layers: Layers::NONE,
    };

    /// The TTL (hop limit) that it arrived with; `None` where the header is cut before it.
    #[inline]
    pub fn ttl(&self) -> Option<u8> {
        self.ip.get(if self.tuple.is_v6 { 7 } else { 8 }).copied()
    }

    /// The packet that an ICMP error quotes; `None` for everything else.
    #[inline]
    pub fn quote(&self) -> Option<Quote<'a>> {
        if self.layers.intersects(Layers::ICMP) {
            quote::quoted(self.tuple.is_v6, self.transport, self.payload)
        } else {
            None
        }
    }
}

/// Slices an IP packet.
///
/// `packet` is what was captured of it, link-layer padding included; `wire` is how many octets
/// were on the wire.
///
/// Of a first fragment that is too short for its transport header ([`Malformed::Fragment`]), `into`
/// is what it is without: a fragment without ports. Of a packet whose transport header the capture cut
/// behind the ports ([`Malformed::CutShort`]), it is one with ports and without that header.
#[inline(always)]
pub fn dissect<'a>(packet: &'a [u8], wire: u32, into: &mut Dissected<'a>) -> Result<(), Malformed> {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(packet, wire, into),
        Some(6) => ipv6(packet, wire, into),
        Some(_) => Err(Malformed::IpHeader),
        None if wire > 0 => Err(Malformed::CutShort),
        None => Err(Malformed::IpHeader),
    }
}

/// The octets that an IP packet claims to have; 0 where it claims none.
#[cold]
pub(crate) fn claimed_length(packet: &[u8]) -> u32 {
    match (packet.first().map(|byte| byte >> 4), packet.first_chunk::<6>()) {
        (Some(4), Some(start)) => be16(start, place::ipv4::LENGTH).into(),
        (Some(6), Some(start)) => {
            u32::from(be16(start, place::ipv6::LENGTH)) + place::ipv6::HEADER as u32
        }
        _ => 0,
    }
}

/// The network layer's findings, on which the transport layer builds.
struct Network<'a> {
    is_v6: bool,
    protocol: u8,
    source: Address,
    destination: Address,
    fragment: Fragment,
    ip: &'a [u8],
    /// What follows the IP header, as far as it was captured, without link-layer padding.
    rest: &'a [u8],
    wire: u32,
    ip_length: u32,
    /// Octets after the IP header on the wire.
    rest_wire: u32,
}

#[inline(always)]
fn ipv4<'a>(packet: &'a [u8], wire: u32, into: &mut Dissected<'a>) -> Result<(), Malformed> {
    use place::ipv4::{
        DESTINATION, FLAGS, HEADER, IDENTIFICATION, LENGTH, MORE_FRAGMENTS, OFFSET, PROTOCOL,
        SOURCE,
    };
    let short = cut_or(packet.len(), wire, Malformed::IpHeader);
    let Some(fixed) = packet.first_chunk::<HEADER>() else {
        return Err(short);
    };
    let header_length = place::ipv4::length(fixed[0]);
    if header_length < HEADER {
        return Err(Malformed::IpHeader);
    }
    // 0 is what Linux leaves in packets larger than 65,535 octets that the card is to segment.
    let ip_length = match u32::from(be16(fixed, LENGTH)) {
        0 => wire,
        length => length,
    };
    if ip_length > wire || (header_length as u32) > ip_length {
        return Err(Malformed::IpLength);
    }
    let captured = &packet[..packet.len().min(ip_length as usize)];
    let Some((ip, rest)) = captured.split_at_checked(header_length) else {
        return Err(short);
    };
    let address = |at| [u64::from(be32(fixed, at)), 0];
    let fragment = match be16(fixed, FLAGS) & (MORE_FRAGMENTS | OFFSET) {
        0 => Fragment::None,
        place => Fragment::new(place & OFFSET, be16(fixed, IDENTIFICATION).into()),
    };
    let network = Network {
        is_v6: false,
        protocol: fixed[PROTOCOL],
        source: address(SOURCE),
        destination: address(DESTINATION),
        fragment,
        ip,
        rest,
        wire,
        ip_length,
        rest_wire: ip_length - header_length as u32,
    };
    transport(network, into)
}

#[inline]
fn ipv6<'a>(packet: &'a [u8], wire: u32, into: &mut Dissected<'a>) -> Result<(), Malformed> {
    use place::ipv6::{DESTINATION, HEADER, LENGTH, NEXT_HEADER, SOURCE};
    let Some(fixed) = packet.first_chunk::<HEADER>() else {
        return Err(cut_or(packet.len(), wire, Malformed::IpHeader));
    };
    // 0 is a jumbogram (RFC 2675), or a packet that the card is to segment.
    let ip_length = match u32::from(be16(fixed, LENGTH)) {
        0 => wire,
        length => length + HEADER as u32,
    };
    if ip_length > wire {
        return Err(Malformed::IpLength);
    }
    let captured = &packet[..packet.len().min(ip_length as usize)];
    let (source, destination) = (address_v6(fixed, SOURCE), address_v6(fixed, DESTINATION));
    let extensions = Extensions::walk(fixed[NEXT_HEADER], &captured[HEADER..])
        .ok_or_else(|| cut_or(captured.len(), ip_length, Malformed::Extension))?;
    let (ip, rest) = captured.split_at(HEADER + extensions.length);
    let fragment = match extensions.fragment {
        None => Fragment::None,
        Some(place) => Fragment::new(place.offset, place.identification),
    };
    let network = Network {
        is_v6: true,
        protocol: extensions.protocol,
        source,
        destination,
        fragment,
        ip,
        rest,
        wire,
        ip_length,
        rest_wire: ip_length - ip.len() as u32,
    };
    transport(network, into)
}

/// How the transport layer of a packet was cut: header, payload, and the layer's bit.
type Cut<'a> = (&'a [u8], &'a [u8], Layers);

#[inline(always)]
fn transport<'a>(network: Network<'a>, into: &mut Dissected<'a>) -> Result<(), Malformed> {
    let headless = (&[][..], network.rest, Layers::L4);
    if let Fragment::Later(_) = network.fragment {
        put(&network, headless, into);
        return Ok(());
    }
    match cut_transport(&network) {
        Ok(cut) => {
            put(&network, cut, into);
            Ok(())
        }
        Err(kind) => {
            match kind {
                Malformed::Fragment => put(&network, headless, into),
                Malformed::CutShort => put(&network, (network.rest, &[], Layers::L4), into),
                _ => {}
            }
            Err(kind)
        }
    }
}

/// Puts the packet together that is cut like this.
#[inline(always)]
fn put<'a>(network: &Network<'a>, (header, payload, layer): Cut<'a>, into: &mut Dissected<'a>) {
    const OF_HANDSHAKE: u8 = TcpFlags::SYN.and(TcpFlags::ACK).and(TcpFlags::RST).byte();
    let (mut source_port, mut destination_port) = (0, 0);
    if has_ports(network.protocol)
        && let Some(ports) = header.first_chunk::<{ tcp::SEQUENCE }>()
    {
        source_port = be16(ports, tcp::SOURCE_PORT);
        destination_port = be16(ports, tcp::DESTINATION_PORT);
    }
    let opens =
        layer == Layers::TCP && header[tcp::OFFSET + 1] & OF_HANDSHAKE == TcpFlags::SYN.byte();
    let opening = opens.then(|| be32(header, tcp::SEQUENCE));
    let ip_layer = if network.is_v6 { Layers::IP6 } else { Layers::IP4 };
    *into = Dissected {
        tuple: Tuple {
            is_v6: network.is_v6,
            protocol: network.protocol,
            source: network.source,
            destination: network.destination,
            source_port,
            destination_port,
        },
        fragment: network.fragment,
        opening,
        ip: network.ip,
        transport: header,
        payload,
        wire: network.wire,
        ip_length: network.ip_length,
        payload_length: payload_length(network, header, layer),
        layers: ip_layer.and(layer),
    };
}

/// Octets of the payload by the headers. A datagram's own header says how long it is, in the first of
/// its fragments too.
#[inline(always)]
fn payload_length(network: &Network<'_>, header: &[u8], layer: Layers) -> u32 {
    match network.fragment {
        Fragment::First(_) if layer == Layers::UDP => {
            u32::from(be16(header, udp::LENGTH)).saturating_sub(udp::HEADER as u32)
        }
        _ => network.rest_wire.saturating_sub(header.len() as u32),
    }
}

#[inline]
fn cut_transport<'a>(network: &Network<'a>) -> Result<Cut<'a>, Malformed> {
    let rest = network.rest;
    let short = |kind| {
        if network.fragment != Fragment::None {
            Malformed::Fragment
        } else {
            cut_or(rest.len(), network.rest_wire, kind)
        }
    };
    let (length, layer, kind) = match (network.protocol, network.is_v6) {
        (protocol::TCP, _) => (tcp_length(network)?, Layers::TCP, Malformed::Tcp),
        (protocol::UDP, _) => (udp::HEADER, Layers::UDP, Malformed::Udp),
        (protocol::ICMP, false) => (icmp::HEADER, Layers::ICMP4, Malformed::Transport),
        (protocol::ICMPV6, true) => (icmp::HEADER, Layers::ICMP6, Malformed::Transport),
        (protocol::UDP_LITE, _) => (udp::HEADER, Layers::L4, Malformed::Transport),
        (protocol::SCTP, _) => (SCTP_HEADER, Layers::L4, Malformed::Transport),
        _ => (0, Layers::L4, Malformed::Transport),
    };
    let (header, payload) = rest.split_at_checked(length).ok_or_else(|| short(kind))?;
    if layer == Layers::UDP && network.fragment == Fragment::None {
        let claimed = u32::from(be16(header, udp::LENGTH));
        // 0 is a jumbogram's (RFC 2675, section 4).
        if claimed != 0 && !(udp::HEADER as u32..=network.rest_wire).contains(&claimed) {
            return Err(Malformed::Udp);
        }
    }
    Ok((header, payload, layer))
}

/// The length of the TCP header, as far as it was captured.
///
/// A snap length may cut the options: then the header is used as far as it goes, for captures of
/// headers only would lose every SYN otherwise.
#[inline]
fn tcp_length(network: &Network<'_>) -> Result<usize, Malformed> {
    let Some(&offset) = network.rest.get(tcp::OFFSET) else {
        return Ok(tcp::HEADER);
    };
    let length = tcp::length(offset);
    if length < tcp::HEADER {
        return Err(Malformed::Tcp);
    }
    let captured = network.rest.len();
    if length > captured && length as u32 <= network.rest_wire && captured >= tcp::HEADER {
        return Ok(captured);
    }
    Ok(length)
}

/// Whether the protocol's header begins with two ports.
#[inline]
pub(crate) fn has_ports(protocol: u8) -> bool {
    use protocol::{SCTP, TCP, UDP, UDP_LITE};
    matches!(protocol, TCP | UDP | UDP_LITE | SCTP)
}

/// What is wrong with a packet that ends too early: the capture, or the packet itself.
#[inline]
fn cut_or(captured: usize, wire: u32, kind: Malformed) -> Malformed {
    if captured < wire as usize { Malformed::CutShort } else { kind }
}

/// Reads a big-endian number; callers have checked the length.
#[inline]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline]
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline]
pub(crate) fn address_v6(bytes: &[u8], at: usize) -> Address {
    let word = |at| u64::from(be32(bytes, at)) << 32 | u64::from(be32(bytes, at + 4));
    [word(at), word(at + 8)]
}

#[cfg(test)]
mod tests;
