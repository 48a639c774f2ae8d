//! What stands between a MAC header and IP: tags, labels, LLC/SNAP, PPP, other MAC headers.

use super::{be16, from, octet};
use crate::counters::Malformed;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad, the numbers that QinQ used before 802.1ad, and Linux's between switches.
const VLAN: [u16; 5] = [0x8100, 0x88a8, 0x9100, 0x9200, 0xdadb];
/// Provider backbone bridging (IEEE 802.1ah): a service tag, then a customer's frame.
const BACKBONE: u16 = 0x88e7;
/// MACsec (IEEE 802.1AE).
const MACSEC: u16 = 0x88e5;
/// Cisco FabricPath: a tree and a TTL in two octets, then an Ethernet frame.
const FABRIC_PATH: u16 = 0x8903;
/// A tag of Marvell's switches that has a type of its own.
const SWITCH: u16 = 0xdada;
/// Tags of ports that stand behind another switch: Cisco's, and that of IEEE 802.1BR.
const PORT: u16 = 0x8926;
const EXTENDED_PORT: u16 = 0x893f;
/// Cisco's group tag: version, length, one option of four octets.
const GROUP: u16 = 0x8909;
/// Seamless redundancy (IEC 62439-3): path and size, sequence number.
const REDUNDANCY: u16 = 0x892f;
/// PPP over Ethernet, session stage (RFC 2516).
const PPPOE: u16 = 0x8864;
/// Layer 2 multipoint (TRILL, RFC 6325): a header with options, then an Ethernet frame.
const TRILL: u16 = 0x22f3;
/// Service chains (NSH, RFC 8300): a header that says its length and what follows.
const SERVICE: u16 = 0x894f;
/// B.A.T.M.A.N.'s mesh, which carries Ethernet frames.
const MESH: u16 = 0x4305;
/// PPP in GRE (RFC 2637, section 4.1).
const PPP: u16 = 0x880b;
/// Labels of Multiprotocol Label Switching, for one and for many receivers (RFC 3032, section 5).
pub(crate) const MPLS_OF_ONE: u16 = 0x8847;
const MPLS: [u16; 2] = [MPLS_OF_ONE, 0x8848];
/// An Ethernet frame, as GRE carries it (RFC 1701).
pub(crate) const BRIDGED: u16 = 0x6558;
/// Up to here, an EtherType is a length, and LLC follows (IEEE 802.3, section 3.2.6).
const LONGEST: u16 = 1500;

/// An EtherType that is a length.
const LENGTH: u16 = 0;

/// Octets of the two addresses.
const ADDRESSES: usize = 12;

/// An Ethernet frame.
#[inline]
pub(super) fn frame(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let kind = be16(frame, ADDRESSES)?;
    let payload = from(frame, ADDRESSES + 2)?;
    match kind {
        IPV4 | IPV6 => Ok(Some(payload)),
        _ => carried(kind, payload),
    }
}

/// Whether labels are followed, and frames that PPP bridges or carries by several links.
///
/// Nothing says where a frame within labels begins, so each has to be read in two ways. Labels in such
/// a frame would double that with each level, and one packet could take for ever. So would the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Labels {
    Follow,
    Leave,
}

/// What an EtherType announces.
#[cold]
pub(crate) fn carried(kind: u16, payload: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    within(kind, payload, Labels::Follow)
}

fn within(mut kind: u16, mut payload: &[u8], labels: Labels) -> Result<Option<&[u8]>, Malformed> {
    // Each turn takes something off, so it ends.
    loop {
        (kind, payload) = match kind {
            IPV4 | IPV6 => return Ok(Some(payload)),
            _ if VLAN.contains(&kind) => (be16(payload, 2)?, from(payload, 4)?),
            _ if MPLS.contains(&kind) => return if_followed(payload, labels),
            PPPOE => return point_to_point(from(payload, 6)?, labels),
            PPP => return point_to_point(payload, labels),
            BRIDGED => (be16(payload, ADDRESSES)?, from(payload, ADDRESSES + 2)?),
            BACKBONE => (be16(payload, 4 + ADDRESSES)?, from(payload, 4 + ADDRESSES + 2)?),
            FABRIC_PATH => (be16(payload, 2 + ADDRESSES)?, from(payload, 2 + ADDRESSES + 2)?),
            PORT => (be16(payload, 4)?, from(payload, 6)?),
            EXTENDED_PORT | GROUP => (be16(payload, 6)?, from(payload, 8)?),
            SWITCH => (be16(payload, 6)?, from(payload, 8)?),
            REDUNDANCY => (be16(payload, 4)?, from(payload, 6)?),
            TRILL => {
                let options = usize::from(be16(payload, 0)? >> 6 & 0x1f) * 4;
                (BRIDGED, from(payload, 6 + options)?)
            }
            SERVICE => match serviced(payload)? {
                Some(next) => next,
                None => return Ok(None),
            },
            MESH => match octet(payload, 0)? {
                // A packet for one, one that also names its source, and one for all.
                0x40 => (BRIDGED, from(payload, 10)?),
                0x42 => (BRIDGED, from(payload, 18)?),
                0x01 => (BRIDGED, from(payload, 14)?),
                _ => return Ok(None),
            },
            MACSEC => match clear(payload)? {
                Some(secured) => (be16(secured, 0)?, from(secured, 2)?),
                None => return Ok(None),
            },
            0..=LONGEST => match *payload {
                // An EtherType, of the ordinary organisation or of a bridge's tunnel.
                [0xaa, 0xaa, 3, 0, 0, 0 | 0xf8, high, low, ref rest @ ..] => {
                    match u16::from_be_bytes([high, low]) {
                        // No second length: it could go on for ever.
                        0..=LONGEST => return Ok(None),
                        kind => (kind, rest),
                    }
                }
                // Cisco's tag of VLANs before 802.1Q (ISL): a VLAN, an index and two octets stand before
                // the frame. Higher numbers are Cisco's own protocols.
                [0xaa, 0xaa, 3, 0, 0, 0x0c, 0..0x20, _, _, _, _, _, ref rest @ ..] => {
                    (BRIDGED, rest)
                }
                // A bridged Ethernet frame, with its check sequence or without (RFC 2684, section 5.2).
                [0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 1 | 7, _, _, ref rest @ ..] => (BRIDGED, rest),
                [6, 6, 3, ref rest @ ..] => return Ok(Some(rest)),
                [_, _, _, ..] => return Ok(None),
                _ => return Err(Malformed::Link),
            },
            _ => return Ok(None),
        };
    }
}

/// What a service chain's header announces, as an EtherType, and what follows it.
fn serviced(payload: &[u8]) -> Result<Option<(u16, &[u8])>, Malformed> {
    let kind = match octet(payload, 3)? {
        1 => IPV4,
        2 => IPV6,
        3 => BRIDGED,
        4 => SERVICE,
        5 => MPLS_OF_ONE,
        _ => return Ok(None),
    };
    // At least the header itself, so that a chain of them ends.
    let length = usize::from(octet(payload, 1)? & 0x3f).max(2) * 4;
    Ok(Some((kind, from(payload, length)?)))
}

/// What MACsec protects without hiding it; `None` where it is encrypted (IEEE 802.1AE, section 9.5).
fn clear(payload: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const IDENTIFIER: u8 = 0x20;
    const CHANGED: u8 = 0x08 | 0x04;
    let flags = octet(payload, 0)?;
    let header = if flags & IDENTIFIER != 0 { 14 } else { 6 };
    if flags & CHANGED != 0 { Ok(None) } else { from(payload, header).map(Some) }
}

/// Logical Link Control: SNAP's EtherTypes (RFC 1042), and IP by its own number.
pub(super) fn llc(payload: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    carried(LENGTH, payload)
}

fn if_followed(payload: &[u8], labels: Labels) -> Result<Option<&[u8]>, Malformed> {
    if labels == Labels::Follow { labelled(payload) } else { Ok(None) }
}

/// What follows a stack of labels. Nothing says what it is but its first four bits (RFC 4928): IP,
/// or an Ethernet frame with or without a control word (RFC 4448).
pub(super) fn labelled(mut payload: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    loop {
        let is_last = octet(payload, 2)? & 1 == 1;
        payload = from(payload, 4)?;
        if is_last {
            break;
        }
    }
    let first = octet(payload, 0)? >> 4;
    if is_ip(payload) {
        return Ok(Some(payload));
    }
    let after_word = payload.get(4..).filter(|_| first == 0);
    Ok(after_word.and_then(bridged).or_else(|| bridged(payload)))
}

/// Whether octets can be an IP header's first.
fn is_ip(octets: &[u8]) -> bool {
    matches!(octets.first(), Some(0x45..=0x4f | 0x60..=0x6f))
}

/// The IP packet in what can be an Ethernet frame within labels.
fn bridged(octets: &[u8]) -> Option<&[u8]> {
    let kind = be16(octets, ADDRESSES).ok()?;
    let packet = within(kind, octets.get(ADDRESSES + 2..)?, Labels::Leave).ok()?;
    packet.filter(|packet| is_ip(packet))
}

/// PPP (RFC 1661).
pub(crate) fn ppp(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    // Links with Cisco's HDLC are taken for PPP too; its address and control field tell them apart.
    if let [0x0f | 0x8f, 0, cisco @ ..] = frame {
        return carried(be16(cisco, 0)?, from(cisco, 2)?);
    }
    point_to_point(frame, Labels::Follow)
}

fn point_to_point(frame: &[u8], labels: Labels) -> Result<Option<&[u8]>, Malformed> {
    const IPV4: u16 = 0x21;
    const IPV6: u16 = 0x57;
    const BRIDGED: u16 = 0x31;
    const MULTILINK: u16 = 0x3d;
    const MPLS: [u16; 2] = [0x281, 0x283];
    // Address and control field, which a link may agree to leave out (RFC 1661, section 6.6).
    let frame = frame.strip_prefix(&[0xff, 0x03]).unwrap_or(frame);
    // So may the first byte of the protocol, which is even where the last is odd.
    let (protocol, packet) = match *frame {
        [low, ref rest @ ..] if low & 1 == 1 => (u16::from(low), rest),
        [high, low, ref rest @ ..] => (u16::from_be_bytes([high, low]), rest),
        _ => return Err(Malformed::Link),
    };
    match protocol {
        IPV4 | IPV6 => Ok(Some(packet)),
        _ if MPLS.contains(&protocol) => if_followed(packet, labels),
        BRIDGED if labels == Labels::Follow => bridged_by_ppp(packet),
        MULTILINK if labels == Labels::Follow => whole_of_many(packet),
        _ => Ok(None),
    }
}

/// A bridged frame in PPP: flags and how it is padded, the kind of MAC, perhaps a LAN's number (RFC 3518,
/// section 4.2).
fn bridged_by_ppp(packet: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const HAS_NUMBER: u8 = 0x40;
    const ETHERNET: u8 = 1;
    if octet(packet, 1)? != ETHERNET {
        return Ok(None);
    }
    let number = if octet(packet, 0)? & HAS_NUMBER != 0 { 4 } else { 0 };
    let frame = from(packet, 2 + number)?;
    within(be16(frame, ADDRESSES)?, from(frame, ADDRESSES + 2)?, Labels::Leave)
}

/// What PPP's multilink carries whole: its first and last part in one (RFC 1990, section 3). The sequence
/// number has 24 bits, or 12.
fn whole_of_many(packet: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const WHOLE: u8 = 0xc0;
    if octet(packet, 0)? & WHOLE != WHOLE {
        return Ok(None);
    }
    let inner = |number| {
        let packet = point_to_point(packet.get(number..)?, Labels::Leave).ok()?;
        packet.filter(|packet| is_ip(packet))
    };
    Ok(inner(4).or_else(|| inner(2)))
}
