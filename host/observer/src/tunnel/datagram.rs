//! Tunnels over UDP, which the port alone announces: VXLAN (RFC 7348) and its extension, Geneve (RFC 8926),
//! GTP (3GPP TS 29.281), GRE (RFC 8086) and labels (RFC 7510) in UDP, Teredo (RFC 4380), LISP (RFC 9300),
//! L2TP (RFC 2661). Any program may use such a port, so the packet within has to be one: its header's
//! length is no more than what the datagram has.

use crate::dissect::{be16, claimed_length};
use crate::link::{BRIDGED, MPLS, carried, ppp};

/// The IP packet in a datagram.
pub(super) fn inside(datagram: &[u8]) -> Option<&[u8]> {
    let header = datagram.first_chunk::<8>()?;
    let (source, destination) = (be16(header, 0), be16(header, 2));
    let payload = &datagram[8..];
    // Of these, the far end's answers come from the port.
    let answers = matches!(source, 1701 | 2152 | 3544).then_some(source);
    let inner = by_port(destination, payload).or_else(|| by_port(answers?, payload))?;
    let before = (datagram.len() - inner.len()) as u32;
    let is_version = matches!(inner.first()?, 0x45..=0x4f | 0x60..=0x6f);
    let fits = before + claimed_length(inner) <= u32::from(be16(header, 4));
    (is_version && fits).then_some(inner)
}

fn by_port(port: u16, payload: &[u8]) -> Option<&[u8]> {
    match port {
        2152 => gtp(payload),
        1701 => l2tp(payload),
        3544 => teredo(payload),
        4341 => payload.get(8..),
        4754 => super::gre(payload),
        // 8472 is what Linux took before the registered one.
        4789 | 8472 => vxlan(payload),
        4790 => extended(payload),
        6081 => geneve(payload),
        6635 => carried(MPLS, payload).ok()?,
        _ => None,
    }
}

/// A flag says that there is a network's number; then an Ethernet frame.
fn vxlan(payload: &[u8]) -> Option<&[u8]> {
    const NUMBERED: u8 = 0x08;
    (payload.first()? & NUMBERED != 0).then_some(())?;
    carried(BRIDGED, payload.get(8..)?).ok()?
}

/// The same with a number for what follows (draft-ietf-nvo3-vxlan-gpe).
fn extended(payload: &[u8]) -> Option<&[u8]> {
    const SERVICE: u16 = 0x894f;
    let rest = payload.get(8..)?;
    match payload[3] {
        1 | 2 => Some(rest),
        3 => carried(BRIDGED, rest).ok()?,
        4 => carried(SERVICE, rest).ok()?,
        5 => carried(MPLS, rest).ok()?,
        _ => None,
    }
}

/// Version and length of the options, flags, an EtherType.
fn geneve(payload: &[u8]) -> Option<&[u8]> {
    let options = usize::from(payload.first()? & 0x3f) * 4;
    let rest = payload.get(8 + options..)?;
    carried(be16(payload, 2), rest).ok()?
}

/// A user's packet: version 1, perhaps a number and further headers. Each header names the next one.
fn gtp(payload: &[u8]) -> Option<&[u8]> {
    const VERSION: u8 = 0xf0;
    const ONE: u8 = 0x30;
    const LONGER: u8 = 0x07;
    const FURTHER: u8 = 0x04;
    const PACKET: u8 = 0xff;
    let (&flags, &kind) = (payload.first()?, payload.get(1)?);
    if flags & VERSION != ONE || kind != PACKET {
        return None;
    }
    if flags & LONGER == 0 {
        return payload.get(8..);
    }
    let mut at = 12;
    let mut next = if flags & FURTHER != 0 { *payload.get(11)? } else { 0 };
    while next != 0 {
        // In words of four octets. The last octet is the kind of the next header.
        let length = usize::from(*payload.get(at)?).max(1) * 4;
        next = *payload.get(at + length - 1)?;
        at += length;
    }
    payload.get(at..)
}

/// IPv6 behind what says who asks, and from where it came (sections 5.1.1 and 5.1.2).
fn teredo(payload: &[u8]) -> Option<&[u8]> {
    let rest = match payload.get(..4)? {
        [0, 1, client, value] => payload.get(13 + usize::from(*client) + usize::from(*value)..)?,
        _ => payload,
    };
    if rest.starts_with(&[0, 0]) { rest.get(8..) } else { Some(rest) }
}

/// Data of a session, which is PPP: flags say which fields there are (section 3.1).
fn l2tp(payload: &[u8]) -> Option<&[u8]> {
    const CONTROL: u16 = 0x8000;
    const LENGTH: u16 = 0x4000;
    const NUMBERED: u16 = 0x0800;
    const PADDED: u16 = 0x0200;
    const VERSION: u16 = 0x000f;
    let flags = be16(payload.first_chunk::<2>()?, 0);
    if flags & CONTROL != 0 || flags & VERSION != 2 {
        return None;
    }
    let has = |flag: u16, octets: usize| if flags & flag == 0 { 0 } else { octets };
    let mut at = 2 + has(LENGTH, 2) + 4 + has(NUMBERED, 4);
    if flags & PADDED != 0 {
        at += 2 + usize::from(be16(payload.get(at..at + 2)?, 0));
    }
    ppp(payload.get(at..)?).ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram to this port with a packet behind these octets.
    fn datagram(port: u16, header: &[u8], packet: &[u8]) -> Vec<u8> {
        let length = (8 + header.len() + packet.len()) as u16;
        let udp = [[0x90, 0x01], port.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
        [&udp, header, packet].concat()
    }

    #[test]
    fn each_tunnel_by_its_port() {
        let mut v4 = [0; 20];
        (v4[0], v4[3]) = (0x45, 20);
        let ethernet = [&[0x66; 12][..], &[8, 0]].concat();
        let behind = |header: &[u8], rest: &[u8]| [header, rest].concat();
        let session = [0, 2, 0, 1, 0, 1, 0xff, 3, 0, 0x21];
        let whole = [0x42, 2, 0, 24, 0, 1, 0, 1, 0, 2, 9, 9, 0, 0x21];
        let tunnels: [(u16, Vec<u8>); 17] = [
            (4789, behind(&[8, 0, 0, 0, 0, 0, 1, 0], &ethernet)),
            (8472, behind(&[8, 0, 0, 0, 0, 0, 1, 0], &ethernet)),
            (4790, vec![0x0c, 0, 0, 1, 0, 0, 1, 0]),
            (4790, behind(&[0x0c, 0, 0, 3, 0, 0, 1, 0], &ethernet)),
            (4790, vec![0x0c, 0, 0, 4, 0, 0, 1, 0, 0, 2, 1, 1, 0, 0, 1, 255]),
            (6081, behind(&[0, 0, 0x65, 0x58, 0, 0, 1, 0], &ethernet)),
            (6081, vec![1, 0, 8, 0, 0, 0, 1, 0, 9, 9, 9, 9]),
            (2152, vec![0x30, 0xff, 0, 20, 0, 0, 0, 1]),
            (2152, vec![0x32, 0xff, 0, 24, 0, 0, 0, 1, 0, 1, 0, 0]),
            (2152, vec![0x34, 0xff, 0, 28, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 1, 0]),
            (4754, vec![0, 0, 8, 0]),
            (6635, vec![0, 1, 1, 64]),
            (4341, vec![0; 8]),
            (3544, vec![0, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6]),
            (3544, Vec::new()),
            (1701, session.to_vec()),
            (1701, whole.to_vec()),
        ];
        for (port, header) in tunnels {
            let packet = datagram(port, &header, &v4);
            assert_eq!(inside(&packet), Some(&v4[..]), "{port}: {header:x?}");
            for length in 0..packet.len() {
                // What is cut has no more in it than it had.
                let cut = inside(&packet[..length]);
                assert!(cut.is_none_or(|cut| cut.len() < v4.len()), "{port}: {length}");
            }
            assert_eq!(inside(&datagram(53, &header, &v4)), None, "{port}");
        }
    }

    #[test]
    fn what_only_uses_such_a_port_is_no_tunnel() {
        let mut longer = [0; 20];
        (longer[0], longer[3]) = (0x45, 21);
        for (port, payload) in [
            (4341, &[&[0; 8][..], &longer].concat()[..]),
            (2152, b"GET / HTTP"),
            (1701, b"\xc8\x02"),
        ] {
            assert_eq!(inside(&datagram(port, payload, &[])), None, "{port}");
        }
        let query = [0x30, 0x01, 0, 20, 0, 0, 0, 1];
        assert_eq!(inside(&datagram(2152, &query, &[0x45; 20])), None, "an echo request");
    }
}
