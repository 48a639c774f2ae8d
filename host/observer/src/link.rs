//! Link layers: finds where in a captured frame the IP packet begins.

use super::counters::Malformed;

/// A link layer that the observer can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Ethernet II, with any number of VLAN tags.
    Ethernet,
    /// Linux "cooked" capture, version 1.
    Sll,
    /// Linux "cooked" capture, version 2.
    Sll2,
    /// No link header: the IP version is in the packet's first four bits.
    RawIp,
    /// BSD loopback: four bytes with the address family, in the byte order of who captured.
    Null,
    /// PPP, with or without its HDLC-like framing (RFC 1661, RFC 1662).
    Ppp,
}

impl Link {
    /// The link layer of a LINKTYPE number, as in the header of a capture file
    /// (<https://www.tcpdump.org/linktypes.html>). 12 and 14 are what raw IP is on BSD and
    /// OpenBSD.
    pub fn from_number(number: u32) -> Option<Link> {
        Some(match number {
            1 => Link::Ethernet,
            113 => Link::Sll,
            276 => Link::Sll2,
            12 | 14 | 101 | 228 | 229 => Link::RawIp,
            0 | 108 => Link::Null,
            9 | 50 => Link::Ppp,
            _ => return None,
        })
    }

    /// The IP packet in a frame: `Ok(None)` for a frame that carries something else.
    #[inline]
    pub(crate) fn ip_packet(self, frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
        match self {
            Link::Ethernet => by_ether_type(frame, 12),
            Link::RawIp => Ok(Some(frame)),
            Link::Sll => by_ether_type(frame, 14),
            Link::Sll2 => by_ether_type_at(frame, 0, 20),
            Link::Null => null(frame),
            Link::Ppp => ppp(frame),
        }
    }
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad, and the numbers that QinQ used before 802.1ad.
const VLAN: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
/// PPP over Ethernet, session stage (RFC 2516).
const PPPOE: u16 = 0x8864;

#[inline]
fn by_ether_type(frame: &[u8], at: usize) -> Result<Option<&[u8]>, Malformed> {
    by_ether_type_at(frame, at, at + 2)
}

/// Follows the EtherType at `at` to a payload at `payload`, through VLAN tags, each four bytes
/// that end with the next EtherType.
#[inline]
fn by_ether_type_at(
    frame: &[u8],
    mut at: usize,
    mut payload: usize,
) -> Result<Option<&[u8]>, Malformed> {
    loop {
        let kind = be16(frame, at)?;
        match kind {
            IPV4 | IPV6 => return frame.get(payload..).map(Some).ok_or(Malformed::Link),
            _ if VLAN.contains(&kind) => {
                at = payload + 2;
                payload += 4;
            }
            PPPOE => return ppp(frame.get(payload + 6..).ok_or(Malformed::Link)?),
            _ => return Ok(None),
        }
    }
}

/// The address family's numbers are those of the capturing system; IPv6 has three.
fn null(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let (family, packet) = frame.split_first_chunk::<4>().ok_or(Malformed::Link)?;
    // Only one of the two halves is not zero, whichever the byte order is.
    let number = u32::from_ne_bytes(*family);
    let number = number.min(number.swap_bytes());
    Ok(matches!(number, 2 | 10 | 24 | 28 | 30).then_some(packet))
}

fn ppp(frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    // Address and control field, which a link may agree to leave out (RFC 1661, section 6.6).
    let frame = frame.strip_prefix(&[0xff, 0x03]).unwrap_or(frame);
    // So may the first byte of the protocol, which is even where the last is odd.
    let (protocol, packet) = match *frame {
        [low, ref rest @ ..] if low & 1 == 1 => (u16::from(low), rest),
        [high, low, ref rest @ ..] => (u16::from_be_bytes([high, low]), rest),
        _ => return Err(Malformed::Link),
    };
    Ok(matches!(protocol, 0x21 | 0x57).then_some(packet))
}

#[inline]
fn be16(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Malformed::Link),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: [u8; 2] = [0x45, 0];

    fn frame(header: &[u8]) -> Vec<u8> {
        [header, &PACKET].concat()
    }

    fn found(link: Link, header: &[u8]) -> bool {
        link.ip_packet(&frame(header)) == Ok(Some(&PACKET[..]))
    }

    #[test]
    fn ethernet_with_tags_of_every_kind() {
        let mut header = vec![0; 12];
        header.extend([0x81, 0, 0, 1, 0x88, 0xa8, 0, 2, 0x91, 0, 0, 3, 0x08, 0]);
        assert!(found(Link::Ethernet, &header));
        assert_eq!(Link::Ethernet.ip_packet(&header[..20]), Err(Malformed::Link));
        let arp = frame(&[&[0; 12][..], &[0x08, 0x06]].concat());
        assert_eq!(Link::Ethernet.ip_packet(&arp), Ok(None));
    }

    #[test]
    fn cooked_captures() {
        assert!(found(Link::Sll, &[&[0; 14][..], &[0x86, 0xdd]].concat()));
        assert!(found(Link::Sll2, &[&[0x08, 0][..], &[0; 18]].concat()));
    }

    #[test]
    fn loopback_of_either_byte_order() {
        assert!(found(Link::Null, &[2, 0, 0, 0]));
        assert!(found(Link::Null, &[0, 0, 0, 30]));
        assert_eq!(Link::Null.ip_packet(&frame(&[7, 0, 0, 0])), Ok(None));
    }

    #[test]
    fn ppp_with_and_without_its_framing() {
        assert!(found(Link::Ppp, &[0xff, 3, 0, 0x21]));
        assert!(found(Link::Ppp, &[0x57]));
        assert_eq!(Link::Ppp.ip_packet(&frame(&[0xc0, 0x21])), Ok(None));
        assert_eq!(Link::Ppp.ip_packet(&[]), Err(Malformed::Link));
    }
}
