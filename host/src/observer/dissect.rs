//! Slices one IP packet into headers and payload, once for all chains, and names its flow.
//!
//! Lengths are checked against each other and against what was captured; a packet whose lengths
//! contradict each other is malformed, and nothing of it is used. Checksums are not verified:
//! on the sending machine, network cards fill them in after the capture.

mod extensions;
mod quote;

use pathspider_plugin_api::packet::{Layers, protocol};

use self::extensions::Extensions;
use super::counters::Malformed;
use super::key::{Address, Tuple};

/// One packet, sliced.
#[derive(Debug)]
pub(crate) struct Dissected<'a> {
    pub(crate) tuple: Tuple,
    /// The flow that an ICMP error quotes, in the quoted packet's direction.
    pub(crate) quote: Option<Quote<'a>>,
    pub(crate) fragment: Option<Fragment>,
    /// The sequence number of a SYN without ACK: the beginning of a TCP connection.
    pub(crate) opening: Option<u32>,
    pub(crate) ip: &'a [u8],
    pub(crate) transport: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// Octets of the frame from the IP header on.
    pub(crate) wire: u32,
    pub(crate) ip_length: u32,
    pub(crate) payload_length: u32,
    pub(crate) layers: Layers,
}

/// The beginning of a packet, as an ICMP error quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quote<'a> {
    pub(crate) tuple: Tuple,
    /// Set where the quoted packet is a later fragment, whose ports are not in the quote.
    pub(crate) fragment: Option<FragmentId>,
    pub(crate) ip: &'a [u8],
    pub(crate) transport: &'a [u8],
}

/// A packet's place in a fragmented one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fragment {
    /// It begins the packet, so it has the ports.
    First(FragmentId),
    /// It does not.
    Later(FragmentId),
}

/// What the fragments of one packet have in common (RFC 791, section 3.2; RFC 8200, section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FragmentId {
    source: Address,
    destination: Address,
    identification: u32,
    protocol: u8,
    is_v6: bool,
}

/// Slices an IP packet.
///
/// `packet` is what was captured of it, link-layer padding included; `wire` is how many octets
/// were on the wire.
#[inline]
pub(crate) fn dissect(packet: &[u8], wire: u32) -> Result<Dissected<'_>, Malformed> {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(packet, wire),
        Some(6) => ipv6(packet, wire),
        Some(_) => Err(Malformed::IpHeader),
        None if wire > 0 => Err(Malformed::CutShort),
        None => Err(Malformed::IpHeader),
    }
}

/// The network layer's findings, on which the transport layer builds.
struct Network<'a> {
    is_v6: bool,
    protocol: u8,
    source: Address,
    destination: Address,
    fragment: Option<Fragment>,
    ip: &'a [u8],
    /// What follows the IP header, as far as it was captured, without link-layer padding.
    rest: &'a [u8],
    wire: u32,
    ip_length: u32,
    /// Octets after the IP header on the wire.
    rest_wire: u32,
}

#[inline]
fn ipv4(packet: &[u8], wire: u32) -> Result<Dissected<'_>, Malformed> {
    let short = cut_or(packet.len(), wire, Malformed::IpHeader);
    let Some(fixed) = packet.first_chunk::<20>() else {
        return Err(short);
    };
    let header_length = usize::from(fixed[0] & 0xf) * 4;
    if header_length < 20 {
        return Err(Malformed::IpHeader);
    }
    // 0 is what Linux leaves in packets larger than 65,535 octets that the card is to segment.
    let ip_length = match u32::from(be16(fixed, 2)) {
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
    let (protocol, source, destination) =
        (fixed[9], [u64::from(be32(fixed, 12)), 0], [u64::from(be32(fixed, 16)), 0]);
    let place = be16(fixed, 6) & 0x3fff;
    let fragment = (place != 0).then(|| {
        let id = FragmentId {
            source,
            destination,
            identification: be16(fixed, 4).into(),
            protocol,
            is_v6: false,
        };
        fragment(place & 0x1fff, id)
    });
    transport(Network {
        is_v6: false,
        protocol,
        source,
        destination,
        fragment,
        ip,
        rest,
        wire,
        ip_length,
        rest_wire: ip_length - header_length as u32,
    })
}

#[inline]
fn ipv6(packet: &[u8], wire: u32) -> Result<Dissected<'_>, Malformed> {
    let Some(fixed) = packet.first_chunk::<40>() else {
        return Err(cut_or(packet.len(), wire, Malformed::IpHeader));
    };
    // 0 is a jumbogram (RFC 2675), or a packet that the card is to segment.
    let ip_length = match u32::from(be16(fixed, 4)) {
        0 => wire,
        length => length + 40,
    };
    if ip_length > wire {
        return Err(Malformed::IpLength);
    }
    let captured = &packet[..packet.len().min(ip_length as usize)];
    let (source, destination) = (address_v6(fixed, 8), address_v6(fixed, 24));
    let extensions = Extensions::walk(fixed[6], &captured[40..])
        .ok_or_else(|| cut_or(captured.len(), ip_length, Malformed::Extension))?;
    let (ip, rest) = captured.split_at(40 + extensions.length);
    let fragment = extensions.fragment.map(|(offset, identification)| {
        let id = FragmentId {
            source,
            destination,
            identification,
            protocol: extensions.protocol,
            is_v6: true,
        };
        fragment(offset, id)
    });
    transport(Network {
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
    })
}

/// How the transport layer of a packet was cut: header, payload, and the layer's bit.
type Cut<'a> = (&'a [u8], &'a [u8], Layers);

#[inline]
fn transport(network: Network<'_>) -> Result<Dissected<'_>, Malformed> {
    let later = matches!(network.fragment, Some(Fragment::Later(_)));
    let (header, payload, layer) =
        if later { (&[][..], network.rest, Layers::L4) } else { cut_transport(&network)? };
    let (mut source_port, mut destination_port) = (0, 0);
    if has_ports(network.protocol)
        && let Some(ports) = header.first_chunk::<4>()
    {
        (source_port, destination_port) = (be16(ports, 0), be16(ports, 2));
    }
    let opening = (layer == Layers::TCP && header[13] & 0b1_0010 == 0b10).then(|| be32(header, 4));
    let ip_layer = if network.is_v6 { Layers::IP6 } else { Layers::IP4 };
    Ok(Dissected {
        tuple: Tuple {
            is_v6: network.is_v6,
            protocol: network.protocol,
            source: network.source,
            destination: network.destination,
            source_port,
            destination_port,
        },
        quote: if layer.intersects(Layers::ICMP) {
            quote::quoted(network.is_v6, header, payload)
        } else {
            None
        },
        fragment: network.fragment,
        opening,
        ip: network.ip,
        transport: header,
        payload,
        wire: network.wire,
        ip_length: network.ip_length,
        payload_length: network.rest_wire.saturating_sub(header.len() as u32),
        layers: ip_layer.and(layer),
    })
}

#[inline]
fn cut_transport<'a>(network: &Network<'a>) -> Result<Cut<'a>, Malformed> {
    let rest = network.rest;
    let short = |kind| {
        if network.fragment.is_some() {
            Malformed::Fragment
        } else {
            cut_or(rest.len(), network.rest_wire, kind)
        }
    };
    let (length, layer, kind) = match (network.protocol, network.is_v6) {
        (protocol::TCP, _) => (tcp_length(network)?, Layers::TCP, Malformed::Tcp),
        (protocol::UDP, _) => (8, Layers::UDP, Malformed::Udp),
        (protocol::ICMP, false) => (8, Layers::ICMP4, Malformed::Transport),
        (protocol::ICMPV6, true) => (8, Layers::ICMP6, Malformed::Transport),
        (protocol::UDP_LITE, _) => (8, Layers::L4, Malformed::Transport),
        (protocol::SCTP, _) => (12, Layers::L4, Malformed::Transport),
        _ => (0, Layers::L4, Malformed::Transport),
    };
    let (header, payload) = rest.split_at_checked(length).ok_or_else(|| short(kind))?;
    if layer == Layers::UDP && network.fragment.is_none() {
        let claimed = u32::from(be16(header, 4));
        // 0 is a jumbogram's (RFC 2675, section 4).
        if claimed != 0 && !(8..=network.rest_wire).contains(&claimed) {
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
    let Some(&offset) = network.rest.get(12) else {
        return Ok(20);
    };
    let length = usize::from(offset >> 4) * 4;
    if length < 20 {
        return Err(Malformed::Tcp);
    }
    let captured = network.rest.len();
    if length > captured && length as u32 <= network.rest_wire && captured >= 20 {
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

fn fragment(offset: u16, id: FragmentId) -> Fragment {
    if offset == 0 { Fragment::First(id) } else { Fragment::Later(id) }
}

/// What is wrong with a packet that ends too early: the capture, or the packet itself.
#[inline]
fn cut_or(captured: usize, wire: u32, kind: Malformed) -> Malformed {
    if captured < wire as usize { Malformed::CutShort } else { kind }
}

/// Reads a big-endian number; callers have checked the length.
#[inline]
fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline]
fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline]
fn address_v6(bytes: &[u8], at: usize) -> Address {
    let word = |at| u64::from(be32(bytes, at)) << 32 | u64::from(be32(bytes, at + 4));
    [word(at), word(at + 8)]
}

#[cfg(test)]
mod tests {}
