//! IEEE 802.11, and the headers that captures put before it.

use super::ether::llc;
use super::{followed, from, le16, le32, octet};
use crate::counters::Malformed;

/// The frame check sequence is no part of what stands before it, so it harms nothing; but padding
/// between the MAC header and its payload does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    None,
    /// To a multiple of four octets.
    ToWord,
}

/// A frame without a header of the capture.
pub(super) fn data(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    payload(frame, Padding::None)
}

/// The payload of a data frame that is not encrypted (IEEE 802.11-2020, section 9.3.2.1).
fn payload(frame: &[u8], padding: Padding) -> Result<Option<&[u8]>, Malformed> {
    const DATA: u8 = 0x08;
    const KIND: u8 = 0x0c;
    const QOS: u8 = 0x80;
    const NO_DATA: u8 = 0x40;
    const BOTH_SYSTEMS: u8 = 0x03;
    const FRAGMENTS_FOLLOW: u8 = 0x04;
    const PROTECTED: u8 = 0x40;
    const ORDER: u8 = 0x80;
    const AGGREGATE: u8 = 0x80;
    const MESH: u8 = 0x01;
    let (control, flags) = (octet(frame, 0)?, octet(frame, 1)?);
    if control & KIND != DATA || control & NO_DATA != 0 || flags & PROTECTED != 0 {
        return Ok(None);
    }
    // A part of a frame is none: the sequence control's lower four bits number the parts.
    if flags & FRAGMENTS_FOLLOW != 0 || octet(frame, 22)? & 0x0f != 0 {
        return Ok(None);
    }
    let mut header = 24;
    if flags & BOTH_SYSTEMS == BOTH_SYSTEMS {
        header += 6;
    }
    let mut mesh = false;
    if control & QOS != 0 {
        if octet(frame, header)? & AGGREGATE != 0 {
            // Several frames in one; only the first has a place here.
            return first_of_many(from(frame, header + 2)?);
        }
        mesh = flags & BOTH_SYSTEMS == BOTH_SYSTEMS && octet(frame, header + 1)? & MESH != 0;
        header += 2;
        if flags & ORDER != 0 {
            header += 4;
        }
    }
    if padding == Padding::ToWord {
        header = header.next_multiple_of(4);
    }
    let body = from(frame, header)?;
    llc(if mesh { from(body, mesh_control(body)?)? } else { body })
}

/// Octets of a mesh's control field (section 9.2.4.8.3): flags, TTL, a number, perhaps more addresses. In
/// frames that have none, LLC begins where it would.
fn mesh_control(body: &[u8]) -> Result<usize, Malformed> {
    const ADDRESSES: u8 = 3;
    if body.starts_with(&[0xaa, 0xaa, 3]) {
        return Ok(0);
    }
    Ok(6 + usize::from(octet(body, 0)? & ADDRESSES) * 6)
}

/// The first frame of an aggregate: addresses, a length, LLC (section 9.3.2.2).
fn first_of_many(aggregate: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    llc(from(aggregate, 14)?)
}

/// Radiotap (<https://www.radiotap.org>): a version, a length, which fields there are, the fields.
pub(super) fn radiotap(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let length = usize::from(le16(frame, 2)?);
    let padding = padding_by_radiotap(frame);
    payload(from(frame, length.max(8))?, padding)
}

/// Its field "flags" is the second, after a timer of eight octets.
fn padding_by_radiotap(frame: &[u8]) -> Padding {
    const TIMER: u8 = 1;
    const FLAGS: u8 = 2;
    const PADDED: u8 = 0x20;
    const MORE: u8 = 0x80;
    let Some(&present) = frame.get(4) else { return Padding::None };
    if present & FLAGS == 0 {
        return Padding::None;
    }
    // Words of presence follow as long as the highest bit is set.
    let mut at = 8;
    while frame.get(at - 1).is_some_and(|word| word & MORE != 0) {
        at += 4;
    }
    if present & TIMER != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    match frame.get(at) {
        Some(flags) if flags & PADDED != 0 => Padding::ToWord,
        _ => Padding::None,
    }
}

/// Prism's header: a message's code and its length, in the byte order of who captured. Some
/// drivers put AVS's header there.
pub(super) fn prism(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const AVS: [u8; 3] = [0x80, 0x21, 0x10];
    if frame.starts_with(&AVS) {
        return avs(frame);
    }
    let (low, high) = (le16(frame, 4)?, le16(frame, 6)?);
    // Of a length below 65,536 one half is zero, whichever the byte order is.
    let length = if high == 0 { low } else { high.swap_bytes() };
    data(from(frame, usize::from(length))?)
}

/// AVS's header: a version and the length, both in network byte order.
pub(super) fn avs(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let length = usize::from(super::be16(frame, 6)?);
    data(from(frame, length)?)
}

/// Per-Packet Information: version, flags, length, and the link type of what follows.
pub(super) fn ppi(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let length = usize::from(le16(frame, 2)?);
    followed(le32(frame, 4)?, from(frame, length)?)
}
