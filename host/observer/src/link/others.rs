//! Link layers that are seldom met: Frame Relay, SLIP, switch tags, rings, and headers of captures.

use super::ether::{carried, frame, llc, ppp};
use super::{Behind, be16, followed, from, le32, octet};
use crate::counters::Malformed;

/// Frame Relay: an address of two to four octets, whose last one is odd (Q.922, section 3.2). Then a
/// control field and a number of the network layer (RFC 2427, section 3), or Cisco's EtherType.
pub(super) fn frame_relay(frame_relay: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const UNNUMBERED: u8 = 3;
    const PADDING: u8 = 0;
    const SNAP: u8 = 0x80;
    const IPV6: u8 = 0x8e;
    const IPV4: u8 = 0xcc;
    const PPP: u8 = 0xcf;
    let address = frame_relay.iter().take(4).position(|octet| octet & 1 == 1);
    let Some(last) = address.filter(|&last| last > 0) else {
        return if frame_relay.len() < 4 { Err(Malformed::Link) } else { Ok(None) };
    };
    let rest = from(frame_relay, last + 1)?;
    let Some(numbered) = rest.strip_prefix(&[UNNUMBERED]) else {
        return match be16(rest, 0)? {
            // Too small for an EtherType.
            0..=0x05ff => Ok(None),
            kind => carried(kind, from(rest, 2)?),
        };
    };
    let numbered = numbered.strip_prefix(&[PADDING]).unwrap_or(numbered);
    let packet = from(numbered, 1)?;
    match octet(numbered, 0)? {
        IPV4 | IPV6 => Ok(Some(packet)),
        SNAP => by_organisation(packet),
        // RFC 1973.
        PPP => ppp(packet),
        _ => Ok(None),
    }
}

/// An organisation's number and a protocol of it: an EtherType, or a bridged frame (RFC 2427, section
/// 4.2), with its check sequence at the end or without.
fn by_organisation(header: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const ETHERTYPES: [u8; 3] = [0, 0, 0];
    const BRIDGED: [u8; 3] = [0, 0x80, 0xc2];
    const ETHERNET: [u16; 2] = [1, 7];
    let (kind, rest) = (be16(header, 3)?, from(header, 5)?);
    if header.starts_with(&ETHERTYPES) {
        carried(kind, rest)
    } else if header.starts_with(&BRIDGED) && ETHERNET.contains(&kind) {
        frame(rest)
    } else {
        Ok(None)
    }
}

/// A switch's tag of this many octets after the addresses.
pub(super) fn tagged(tagged: &[u8], tag: usize) -> Result<Option<&[u8]>, Malformed> {
    const ADDRESSES: usize = 12;
    carried(be16(tagged, ADDRESSES + tag)?, from(tagged, ADDRESSES + tag + 2)?)
}

/// Token Ring (IEEE 802.5): two octets of control, two addresses, and the route where the first bit of
/// the sender's says so.
pub(super) fn token_ring(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const ROUTED: u8 = 0x80;
    const LENGTH: u8 = 0x1f;
    let route = match octet(frame, 8)? & ROUTED {
        0 => 0,
        _ => octet(frame, 14)? & LENGTH,
    };
    llc(from(frame, 14 + usize::from(route))?)
}

/// FDDI: one octet of control, two addresses. Only of LLC's frames is there a packet.
pub(super) fn fddi(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const KIND: u8 = 0xf0;
    const ASYNCHRONOUS_LLC: u8 = 0x50;
    const SYNCHRONOUS_LLC: u8 = 0xd0;
    match octet(frame, 0)? & KIND {
        ASYNCHRONOUS_LLC | SYNCHRONOUS_LLC => llc(from(frame, 13)?),
        _ => Ok(None),
    }
}

/// Apple's header of a packet of any interface: its length, and the link type at the eighth octet.
pub(super) fn apple(packet: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let (length, number) = (le32(packet, 0)?, le32(packet, 8)?);
    followed(number, from(packet, length as usize)?)
}

/// Juniper's header: a magic number and flags, perhaps extensions with their length, then the frame, or
/// where it was taken off an address family and IP.
pub(super) fn juniper(packet: &[u8], behind: Behind) -> Result<Option<&[u8]>, Malformed> {
    const MAGIC: [u8; 3] = *b"MGC";
    const EXTENSIONS: u8 = 0x80;
    const NO_FRAME: u8 = 0x02;
    const FAMILY: usize = 4;
    if !packet.starts_with(&MAGIC) {
        return Ok(None);
    }
    let flags = octet(packet, 3)?;
    let extensions = match flags & EXTENSIONS {
        0 => 0,
        _ => 2 + usize::from(be16(packet, 4)?),
    };
    let frame = from(packet, 4 + extensions)?;
    match flags & NO_FRAME {
        0 => behind.link().ip_packet(frame),
        _ => from(frame, FAMILY).map(Some),
    }
}

/// IP over ATM: behind LLC, or alone.
pub(super) fn atm(packet: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    if packet.starts_with(&[0xaa, 0xaa, 3]) { llc(packet) } else { Ok(Some(packet)) }
}

/// Sun's header of ATM: direction and kind of traffic, path, circuit. LAN emulation has two octets
/// before its frame.
pub(super) fn atm_of_sun(packet: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const KIND: u8 = 0x0f;
    match octet(packet, 0)? & KIND {
        1 => frame(from(packet, 6)?),
        2 => llc(from(packet, 4)?),
        _ => Ok(None),
    }
}

/// ARCNET: two addresses of one octet, in Linux an offset, a protocol; the newer kinds have three octets
/// for parts of packets (RFC 1201).
pub(super) fn arcnet(packet: &[u8], at: usize) -> Result<Option<&[u8]>, Malformed> {
    const IPV4_OLD: u8 = 240;
    const IPV4: u8 = 212;
    const IPV6: u8 = 196;
    match octet(packet, at)? {
        IPV4_OLD => from(packet, at + 1).map(Some),
        // A part of a packet is none.
        IPV4 | IPV6 if octet(packet, at + 1)? == 0 => from(packet, at + 4).map(Some),
        _ => Ok(None),
    }
}

/// Frame Relay over several links: a part's flags and number (FRF.16.1, section 3). Only what is whole is
/// a frame.
pub(super) fn frame_relay_of_many(part: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const WHOLE: u8 = 0xc0;
    match octet(part, 0)? & WHOLE {
        WHOLE => frame_relay(from(part, 2)?),
        _ => Ok(None),
    }
}

/// A cable modem's frame: control, a parameter, the length, perhaps a longer header, a check sequence.
/// Only the kind that carries Ethernet is of interest.
pub(super) fn cable(cable: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const KIND: u8 = 0xc0;
    const LONGER: u8 = 0x01;
    let control = octet(cable, 0)?;
    if control & KIND != 0 {
        return Ok(None);
    }
    let longer = if control & LONGER != 0 { octet(cable, 1)? } else { 0 };
    frame(from(cable, 6 + usize::from(longer))?)
}

/// A record of Endace's cards (ERF): time, kind, lengths, perhaps more headers, the frame.
pub(super) fn endace(record: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const MORE: u8 = 0x80;
    let kind = octet(record, 8)?;
    let (mut more, mut at) = (kind & MORE != 0, 16);
    while more {
        more = octet(record, at)? & MORE != 0;
        at += 8;
    }
    let packet = from(record, at)?;
    match kind & !MORE {
        // Over SONET: PPP, or Cisco's HDLC.
        1 | 10 | 15 | 17 => ppp(packet),
        // Ethernet, behind an offset and an octet that is not used.
        2 | 11 | 16 | 20 => frame(from(packet, 2)?),
        22 | 23 => Ok(Some(packet)),
        _ => Ok(None),
    }
}

/// A frame behind its preamble, whose last octet says whether it is a part.
pub(super) fn preempted(packet: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const WHOLE: u8 = 0xd5;
    match octet(packet, 7)? {
        WHOLE => frame(from(packet, 8)?),
        _ => Ok(None),
    }
}
