//! Looks into tunnels: the innermost IP packet of IP in IP (RFC 2003, RFC 2473, RFC 4213) and GRE
//! (RFC 2784, RFC 2890, RFC 2637), of Ethernet (RFC 3378) and labels (RFC 4023) in IP, of what IPsec signs
//! and does not hide (RFC 4302), and of tunnels over UDP. A packet that is a part of another, or whose
//! tunnel cannot be read, stays what it is.

mod datagram;

use super::dissect::be16;
use super::link::{BRIDGED, MPLS, carried, ppp};

const IPV4_IN: u8 = 4;
const UDP: u8 = 17;
const IPV6_IN: u8 = 41;
const GRE: u8 = 47;
const SIGNED: u8 = 51;
const ETHERNET_IN: u8 = 97;
const MPLS_IN: u8 = 137;

/// Tunnels in tunnels that are followed at the most.
const DEEPEST: usize = 8;

/// The innermost packet.
#[cold]
pub(crate) fn innermost(mut packet: &[u8]) -> &[u8] {
    for _ in 0..DEEPEST {
        match inside(packet) {
            Some(inner) => packet = inner,
            None => break,
        }
    }
    packet
}

fn inside(packet: &[u8]) -> Option<&[u8]> {
    let (protocol, payload) = match packet.first()? >> 4 {
        4 => ipv4(packet)?,
        6 => ipv6(packet)?,
        _ => return None,
    };
    let inner = match protocol {
        UDP => datagram::inside(payload)?,
        SIGNED => {
            // Its length is in words of four octets, less two.
            let length = (usize::from(*payload.get(1)?) + 2) * 4;
            by_protocol(*payload.first()?, payload.get(length..)?)?
        }
        protocol => by_protocol(protocol, payload)?,
    };
    matches!(inner.first()? >> 4, 4 | 6).then_some(inner)
}

/// What a protocol of IP that is a tunnel carries.
fn by_protocol(protocol: u8, payload: &[u8]) -> Option<&[u8]> {
    match protocol {
        IPV4_IN | IPV6_IN => Some(payload),
        GRE => gre(payload),
        // A version, and an octet that is not used.
        ETHERNET_IN => carried(BRIDGED, payload.get(2..)?).ok()?,
        MPLS_IN => carried(MPLS, payload).ok()?,
        _ => None,
    }
}

fn ipv4(packet: &[u8]) -> Option<(u8, &[u8])> {
    const FRAGMENT: u16 = 0x3fff;
    let header = usize::from(packet[0] & 0x0f) * 4;
    let place = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]);
    let is_whole = place & FRAGMENT == 0 && header >= 20;
    Some((*packet.get(9)?, packet.get(header..)?)).filter(|_| is_whole)
}

/// With the extension headers that a tunnel may put before the inner packet (RFC 2473, section 5.1).
fn ipv6(packet: &[u8]) -> Option<(u8, &[u8])> {
    const OPTIONS: [u8; 3] = [0, 43, 60];
    let mut protocol = *packet.get(6)?;
    let mut rest = packet.get(40..)?;
    while OPTIONS.contains(&protocol) {
        protocol = *rest.first()?;
        let length = (usize::from(*rest.get(1)?) + 1) * 8;
        rest = rest.get(length..)?;
    }
    Some((protocol, rest))
}

fn gre(packet: &[u8]) -> Option<&[u8]> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGMENT: u16 = 0x0080;
    const VERSION: u16 = 7;
    /// Mirrored Ethernet frames (draft-foschiano-erspan): with eight octets before them, or twelve,
    /// and eight more where a flag says so.
    const MIRRORED: u16 = 0x88be;
    const MIRRORED_3: u16 = 0x22eb;
    /// What a router redirects to a cache (WCCP), behind four octets in the second version.
    const REDIRECTED: u16 = 0x883e;
    let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let (flags, kind) = (word(0)?, word(2)?);
    let has = |flag: u16| usize::from(flags & flag != 0) * 4;
    let routed = flags & ROUTING != 0;
    let header = match flags & VERSION {
        0 if routed => route_ends(packet, 8 + has(KEY) + has(SEQUENCE))?,
        0 => 4 + has(CHECKSUM) + has(KEY) + has(SEQUENCE),
        1 => 4 + has(KEY) + has(SEQUENCE) + has(ACKNOWLEDGMENT),
        _ => return None,
    };
    let payload = packet.get(header..)?;
    let found = match kind {
        MIRRORED => carried(BRIDGED, payload.get(if flags & SEQUENCE == 0 { 0 } else { 8 }..)?),
        MIRRORED_3 => {
            let more = usize::from(payload.get(11)? & 1) * 8;
            carried(BRIDGED, payload.get(12 + more..)?)
        }
        PPP if flags & VERSION == 1 => ppp(payload),
        REDIRECTED => match payload.first()? >> 4 {
            4 => Ok(Some(payload)),
            _ => Ok(payload.get(4..)),
        },
        kind => carried(kind, payload),
    };
    found.ok()?
}

/// Where the list of a packet's way ends: by an entry without a family and octets (RFC 1701). A field before
/// the list says where in it the packet is.
fn route_ends(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let entry = packet.get(at..at + 4)?;
        let length = usize::from(entry[3]);
        at += 4 + length;
        if be16(entry, 0) == 0 && length == 0 {
            return Some(at);
        }
    }
}

/// PPP in version 1 of GRE (RFC 2637, section 4.1).
const PPP: u16 = 0x880b;

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 packet of this protocol.
    fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = [0; 20];
        (header[0], header[9]) = (0x45, protocol);
        [&header[..], payload].concat()
    }

    fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = [0; 40];
        (header[0], header[6]) = (0x60, next);
        [&header[..], payload].concat()
    }

    #[test]
    fn ip_in_ip() {
        let inner = v4(6, b"tcp");
        assert_eq!(innermost(&v4(IPV4_IN, &inner)), inner);
        assert_eq!(innermost(&v6(IPV4_IN, &v4(IPV4_IN, &inner))), inner);
        let options = [&[IPV6_IN, 0, 4, 1, 4, 1, 0, 0][..], &v6(17, b"udp")].concat();
        assert_eq!(innermost(&v6(60, &options)), v6(17, b"udp"));
        assert_eq!(innermost(&inner), inner);
        let mut part = v4(IPV4_IN, &inner);
        part[6] = 0x20;
        assert_eq!(innermost(&part), part);
    }

    #[test]
    fn gre_of_each_version() {
        let inner = v4(6, b"tcp");
        let packet = |header: &[u8]| v4(GRE, &[header, &inner].concat());
        let same: [&[u8]; 5] = [
            &[0, 0, 8, 0],
            &[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1],
            &[0x30, 0x81, 0x88, 0x0b, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xff, 3, 0, 0x21],
            &[&[0, 0, 0x65, 0x58][..], &[1; 12], &[8, 0]].concat(),
            &[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1][..], &[1; 8], &[1; 12], &[8, 0]].concat(),
        ];
        for header in same {
            assert_eq!(innermost(&packet(header)), inner, "{header:x?}");
        }
        let way = [0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0];
        assert_eq!(innermost(&packet(&way)), inner);
        let routed = packet(&way[..8]);
        assert_eq!(innermost(&routed), routed, "its way does not end");
        assert_eq!(innermost(&packet(&[0, 0, 0x88, 0x3e])), inner);
        assert_eq!(innermost(&packet(&[0, 0, 0x88, 0x3e, 0, 0, 0, 0])), inner);
        let other = packet(&[0, 0, 8, 6]);
        assert_eq!(innermost(&other), other);
    }

    #[test]
    fn other_protocols_that_are_tunnels() {
        let inner = v4(6, b"tcp");
        let ethernet = [&[0x30, 0][..], &[0x66; 12], &[8, 0], &inner].concat();
        assert_eq!(innermost(&v4(ETHERNET_IN, &ethernet)), inner);
        assert_eq!(innermost(&v6(MPLS_IN, &[&[0, 1, 1, 64][..], &inner].concat())), inner);
        let signed = |next: u8| v4(SIGNED, &[&[next, 1][..], &[0; 10], &inner].concat());
        assert_eq!(innermost(&signed(IPV4_IN)), inner);
        assert_eq!(innermost(&signed(6)), signed(6), "no tunnel");
    }

    #[test]
    fn what_is_cut_short_stays_what_it_is() {
        let whole = v4(GRE, &[&[0, 0, 8, 0][..], &v4(IPV4_IN, &v4(6, b"tcp"))].concat());
        for length in 0..whole.len() {
            let cut = &whole[..length];
            assert!(innermost(cut).len() <= length);
        }
    }
}
