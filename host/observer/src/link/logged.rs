//! Packets that a system shows without their link header: cooked captures, loopback, firewall logs.

use super::ether::{carried, llc};
use super::{be16, from, le16, octet, wireless};
use crate::counters::Malformed;

/// Linux's numbers of devices (ARPHRD) whose frames are shown whole behind the cooked header.
const WIRELESS: u16 = 801;
const PRISM: u16 = 802;
const RADIOTAP: u16 = 803;
/// Linux's numbers in place of an EtherType: Novell's raw 802.3, and LLC.
const RAW_802_3: u16 = 1;
const LLC: u16 = 4;

/// Linux's cooked capture, version 1: kind of packet, device, address, EtherType.
pub(super) fn cooked(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    by_device(be16(frame, 2)?, be16(frame, 14)?, from(frame, 16)?)
}

/// Version 2: EtherType, interface, device, kind of packet, address.
pub(super) fn cooked2(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    by_device(be16(frame, 8)?, be16(frame, 0)?, from(frame, 20)?)
}

fn by_device(device: u16, kind: u16, payload: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    match (device, kind) {
        (WIRELESS, _) => wireless::data(payload),
        (PRISM, _) => wireless::prism(payload),
        (RADIOTAP, _) => wireless::radiotap(payload),
        (_, RAW_802_3) => Ok(None),
        (_, LLC) => llc(payload),
        (_, kind) => carried(kind, payload),
    }
}

/// BSD's loopback. The address family's numbers are those of the capturing system; IPv6 has three.
pub(super) fn family(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let (family, packet) = frame.split_first_chunk::<4>().ok_or(Malformed::Link)?;
    // Only one of the two halves is not zero, whichever the byte order is.
    let number = u32::from_ne_bytes(*family);
    let number = number.min(number.swap_bytes());
    Ok(is_ip(number).then_some(packet))
}

fn is_ip(family: u32) -> bool {
    matches!(family, 2 | 10 | 24 | 28 | 30)
}

/// Netfilter's log: family, version, resource; then values with length and type. The packet is one of
/// these values. Their byte order is that of the capturing machine.
pub(super) fn netfilter(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const HEADER: u16 = 1;
    const PAYLOAD: u16 = 9;
    // A bridge's packets have a family of their own, and the EtherType in their header.
    let mut kind = None;
    let is_ip = is_ip(octet(frame, 0)?.into());
    let mut rest = from(frame, 4)?;
    // A length is below 256 in one order, or the type would not be.
    let is_little = le16(rest, 2)? < 0x100;
    let number = |bytes, at| if is_little { le16(bytes, at) } else { be16(bytes, at) };
    while !rest.is_empty() {
        let (length, attribute) = (usize::from(number(rest, 0)?), number(rest, 2)?);
        let value = rest.get(4..length).ok_or(Malformed::Link)?;
        match attribute {
            HEADER => kind = be16(value, 0).ok(),
            PAYLOAD if is_ip => return Ok(Some(value)),
            PAYLOAD => return kind.map_or(Ok(None), |kind| carried(kind, value)),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Ok(None)
}

/// The packet filters' log: the header's length, the family, and more.
pub(super) fn packet_filter(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let length = usize::from(octet(frame, 0)?).next_multiple_of(4);
    let packet = from(frame, length)?;
    Ok(is_ip(octet(frame, 1)?.into()).then_some(packet))
}
