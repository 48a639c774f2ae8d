//! Looks into tunnels: the innermost IP packet of IP in IP (RFC 2003, RFC 2473, RFC 4213) and GRE
//! (RFC 2784, RFC 2890, RFC 2637). A packet that is a part of another, or whose tunnel cannot be read,
//! stays what it is.

use super::link::{carried, ppp};

const IPV4_IN: u8 = 4;
const IPV6_IN: u8 = 41;
const GRE: u8 = 47;

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
        IPV4_IN | IPV6_IN => payload,
        GRE => gre(payload)?,
        _ => return None,
    };
    matches!(inner.first()? >> 4, 4 | 6).then_some(inner)
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
    const BRIDGED: u16 = 0x6558;
    let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let (flags, kind) = (word(0)?, word(2)?);
    let has = |flag: u16| usize::from(flags & flag != 0) * 4;
    let header = match flags & VERSION {
        0 if flags & ROUTING == 0 => 4 + has(CHECKSUM) + has(KEY) + has(SEQUENCE),
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
        kind => carried(kind, payload),
    };
    found.ok()?
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
        let routed = packet(&[0x40, 0, 8, 0]);
        assert_eq!(innermost(&routed), routed);
        let other = packet(&[0, 0, 8, 6]);
        assert_eq!(innermost(&other), other);
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
