//! The packet that an ICMP error quotes: how the error finds its flow.

use super::extensions::Extensions;
use super::{FragmentId, Quote, address_v6, be16, be32, has_ports};
use crate::key::Tuple;

/// The quoted packet of an ICMP error; `None` for other messages, and where the quote is too
/// short to name a flow.
///
/// Routers may quote as little as eight octets of the transport header (RFC 792), so only the
/// ports are read. Lengths in the quoted header are those of the whole packet: not checked.
pub(super) fn quoted<'a>(is_v6: bool, header: &[u8], body: &'a [u8]) -> Option<Quote<'a>> {
    // Unreachable, source quench, redirect, time exceeded, parameter problem (RFC 1122, section
    // 3.2.2); in version 6, all types below 128 are errors (RFC 4443, section 2.1).
    let is_error = if is_v6 {
        (1..128).contains(&header[0])
    } else {
        matches!(header[0], 3 | 4 | 5 | 11 | 12)
    };
    if !is_error {
        return None;
    }
    match body.first()? >> 4 {
        4 => quoted_v4(body),
        6 => quoted_v6(body),
        _ => None,
    }
}

fn quoted_v4(body: &[u8]) -> Option<Quote<'_>> {
    let fixed = body.first_chunk::<20>()?;
    let (ip, transport) = body.split_at_checked(usize::from(fixed[0] & 0xf) * 4)?;
    if ip.len() < 20 {
        return None;
    }
    let tuple = Tuple {
        is_v6: false,
        protocol: fixed[9],
        source: [be32(fixed, 12).into(), 0],
        destination: [be32(fixed, 16).into(), 0],
        source_port: 0,
        destination_port: 0,
    };
    let is_later = be16(fixed, 6) & 0x1fff != 0;
    name(tuple, is_later.then(|| be16(fixed, 4).into()), ip, transport)
}

fn quoted_v6(body: &[u8]) -> Option<Quote<'_>> {
    let fixed = body.first_chunk::<40>()?;
    let extensions = Extensions::walk(fixed[6], &body[40..])?;
    let (ip, transport) = body.split_at_checked(40 + extensions.length)?;
    let tuple = Tuple {
        is_v6: true,
        protocol: extensions.protocol,
        source: address_v6(fixed, 8),
        destination: address_v6(fixed, 24),
        source_port: 0,
        destination_port: 0,
    };
    let later = match extensions.fragment {
        Some((offset, identification)) if offset != 0 => Some(identification),
        _ => None,
    };
    name(tuple, later, ip, transport)
}

/// Adds the ports; `later` is the identification of a later fragment, which has none.
fn name<'a>(
    mut tuple: Tuple,
    later: Option<u32>,
    ip: &'a [u8],
    transport: &'a [u8],
) -> Option<Quote<'a>> {
    if has_ports(tuple.protocol) && later.is_none() {
        let ports = transport.first_chunk::<4>()?;
        (tuple.source_port, tuple.destination_port) = (be16(ports, 0), be16(ports, 2));
    }
    let fragment = later.map(|identification| FragmentId::new(&tuple, identification));
    Some(Quote { tuple, fragment, ip, transport })
}
