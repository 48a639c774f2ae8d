//! The packet that an ICMP error quotes: how the error finds its flow.

use pathspider_plugin_api::packet::place::{ipv4, ipv6};
use pathspider_plugin_api::packet::{Icmp, Quoted};

use super::{FragmentId, Quote, address_v6, be32, has_ports};
use crate::key::Tuple;

/// The quoted packet of an ICMP error; `None` for other messages, and where the quote is too
/// short to name a flow.
///
/// Routers may quote as little as eight octets of the transport header (RFC 792), so only the
/// ports are read.
pub(super) fn quoted<'a>(is_v6: bool, header: &'a [u8], body: &'a [u8]) -> Option<Quote<'a>> {
    let quoted = Icmp::new(is_v6, header, body)?.quoted()?;
    let tuple = name(&quoted)?;
    let fragment = quoted.later_fragment();
    Some(Quote {
        tuple,
        fragment: fragment.map(|identification| FragmentId::new(&tuple, identification)),
        transport: quoted.transport(),
    })
}

/// Whose the quoted packet is. A later fragment has no ports.
fn name(quoted: &Quoted<'_>) -> Option<Tuple> {
    let (ip, is_v6) = (quoted.ip().bytes(), quoted.ip().is_v6());
    let address =
        |v4: usize, v6: usize| if is_v6 { address_v6(ip, v6) } else { [be32(ip, v4).into(), 0] };
    let has_ports = has_ports(quoted.protocol()) && quoted.later_fragment().is_none();
    let (source_port, destination_port) = if has_ports { quoted.ports()? } else { (0, 0) };
    Some(Tuple {
        is_v6,
        protocol: quoted.protocol(),
        source: address(ipv4::SOURCE, ipv6::SOURCE),
        destination: address(ipv4::DESTINATION, ipv6::DESTINATION),
        source_port,
        destination_port,
    })
}
