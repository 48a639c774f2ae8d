//! Owns the question whether a packet is one a rule is for.

use etherparse::IpNumber;

use super::path::Way;
use crate::packet::Packet;
use crate::scenario::{Match, Protocol, Span};
use crate::vantage;

/// Whether `packet`, going `way`, is all that `wanted` states.
pub(super) fn matches(wanted: &Match, packet: &Packet, way: Way) -> bool {
    let Match {
        vantage,
        address,
        protocol,
        flags,
        dscp,
        ecn,
        option,
        size,
        port,
        data,
        contains,
        fragment,
        evil,
        zero_checksum,
        nops,
        options_size,
        surplus,
        whole_checksum,
        extension,
        extensions_size,
        flow_label,
        tls_extension,
        quic_version,
        quic_long,
        quic_fixed_bit,
    } = wanted;
    let (near, far) = match way {
        Way::Forward => (packet.source(), packet.destination()),
        Way::Reverse => (packet.destination(), packet.source()),
    };
    vantage.is_none_or(|number| vantage::of(near) == Some(number))
        && address.is_none_or(|prefix| prefix.contains(far))
        && protocol.is_none_or(|p| is_protocol(p, packet.protocol()))
        && flags.is_none_or(|f| packet.tcp_flags().is_some_and(|flags| f.matches(flags)))
        && dscp.as_ref().is_none_or(|d| d.contains(packet.dscp().into()))
        && ecn.as_ref().is_none_or(|marks| marks.iter().any(|mark| mark.bits() == packet.ecn()))
        && option.is_none_or(|kind| packet.has_tcp_option(kind))
        && size.as_ref().is_none_or(|s| s.contains(packet.bytes().len() as u32))
        && port.as_ref().is_none_or(|p| target_port(packet, way).is_some_and(|n| p.contains(n)))
        && data.is_none_or(|wanted| wanted != packet.data().is_empty())
        && contains.as_ref().is_none_or(|text| has(packet.data(), text.as_bytes()))
        && fragment.is_none_or(|wanted| wanted == packet.is_fragment())
        && evil.is_none_or(|wanted| wanted == packet.is_evil())
        && zero_checksum
            .is_none_or(|wanted| packet.udp_checksum().is_some_and(|sum| wanted == (sum == 0)))
        && counted(nops, packet.nops())
        && counted(options_size, packet.tcp_options().map(<[u8]>::len))
        && surplus.is_none_or(|wanted| wanted != packet.surplus().is_empty())
        && whole_checksum.is_none_or(|wanted| packet.whole_checksum_is_right() == Some(wanted))
        && extension.is_none_or(|number| packet.has_extension(number))
        && counted(extensions_size, packet.extensions_size())
        && flow_label
            .as_ref()
            .is_none_or(|span| packet.flow_label().is_some_and(|label| span.contains(label)))
        && tls_extension.is_none_or(|number| packet.has_tls_extension(number))
        && quic_version
            .as_ref()
            .is_none_or(|span| packet.quic_version().is_some_and(|version| span.contains(version)))
        && quic_long.is_none_or(|wanted| wanted == packet.quic_version().is_some())
        && quic_fixed_bit.is_none_or(|wanted| packet.quic_fixed_bit() == Some(wanted))
}

/// Whether a number that the packet has is in the range, where one is wanted.
fn counted(wanted: &Option<Span>, number: Option<usize>) -> bool {
    wanted.as_ref().is_none_or(|span| number.is_some_and(|number| span.contains(number as u32)))
}

fn has(data: &[u8], text: &[u8]) -> bool {
    text.is_empty() || data.windows(text.len()).any(|window| window == text)
}

fn target_port(packet: &Packet, way: Way) -> Option<u32> {
    let (source, destination) = packet.ports()?;
    Some(match way {
        Way::Forward => destination.into(),
        Way::Reverse => source.into(),
    })
}

fn is_protocol(wanted: Protocol, number: IpNumber) -> bool {
    match wanted {
        Protocol::Tcp => number == IpNumber::TCP,
        Protocol::Udp => number == IpNumber::UDP,
        Protocol::Icmp => number == IpNumber::ICMP || number == IpNumber::IPV6_ICMP,
    }
}
