//! Link layers: finds where in a captured frame the IP packet begins.

mod ether;
mod logged;
mod wireless;

use super::counters::Malformed;
pub(crate) use ether::{carried, ppp};

/// A link layer that the observer can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Ethernet, with any tags, labels and headers between it and IP: see `ether`.
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
    /// PPP behind one byte that says which way the frame went.
    PppWithDirection,
    /// A session of PPP over Ethernet, without the Ethernet header (RFC 2516).
    Pppoe,
    /// Cisco's HDLC, whose protocols are EtherTypes.
    CiscoHdlc,
    /// Logical Link Control without a MAC header (RFC 2684, section 5).
    Llc,
    /// Labels without a MAC header (RFC 3032).
    Mpls,
    /// IEEE 802.11 without a header of the capture.
    Wireless,
    /// IEEE 802.11 behind a header of the capture: Radiotap.
    Radiotap,
    /// IEEE 802.11 behind a header of the capture: Prism.
    Prism,
    /// IEEE 802.11 behind a header of the capture: AVS.
    Avs,
    /// A frame of any of some kinds behind a header of the capture: PPI.
    Ppi,
    /// Linux's log of Netfilter.
    Nflog,
    /// OpenBSD's and FreeBSD's log of their packet filter.
    Pflog,
    /// What cannot be read. Its frames are counted.
    Unknown,
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
            204 => Link::PppWithDirection,
            51 => Link::Pppoe,
            104 => Link::CiscoHdlc,
            100 => Link::Llc,
            219 => Link::Mpls,
            105 => Link::Wireless,
            127 => Link::Radiotap,
            119 => Link::Prism,
            163 => Link::Avs,
            192 => Link::Ppi,
            239 => Link::Nflog,
            117 => Link::Pflog,
            _ => return None,
        })
    }

    /// The name of a LINKTYPE number, for messages: libpcap's, where it has one.
    pub fn name(number: u32) -> String {
        let known = i32::try_from(number).ok().map(pcap::Linktype);
        let named = known.and_then(|known| {
            Some((known.get_name().ok()?, known.get_description().unwrap_or_default()))
        });
        match named {
            Some((name, description)) => format!("{number} ({name}: {description})"),
            None => format!("{number}"),
        }
    }

    /// The IP packet in a frame: `Ok(None)` for a frame that carries something else.
    #[inline]
    pub(crate) fn ip_packet(self, frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
        match self {
            Link::Ethernet => ether::frame(frame),
            Link::RawIp => Ok(Some(frame)),
            other => other.unusual(frame),
        }
    }

    #[cold]
    fn unusual(self, frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
        match self {
            Link::Ethernet => ether::frame(frame),
            Link::RawIp => Ok(Some(frame)),
            Link::Sll => logged::cooked(frame),
            Link::Sll2 => logged::cooked2(frame),
            Link::Null => logged::family(frame),
            Link::Ppp => ppp(frame),
            Link::PppWithDirection => ppp(from(frame, 1)?),
            Link::Pppoe => ppp(from(frame, 6)?),
            Link::CiscoHdlc => carried(be16(frame, 2)?, from(frame, 4)?),
            Link::Llc => ether::llc(frame),
            Link::Mpls => ether::labelled(frame),
            Link::Wireless => wireless::data(frame),
            Link::Radiotap => wireless::radiotap(frame),
            Link::Prism => wireless::prism(frame),
            Link::Avs => wireless::avs(frame),
            Link::Ppi => wireless::ppi(frame),
            Link::Nflog => logged::netfilter(frame),
            Link::Pflog => logged::packet_filter(frame),
            Link::Unknown => Ok(None),
        }
    }
}

/// The frame from an octet on.
#[inline]
fn from(frame: &[u8], at: usize) -> Result<&[u8], Malformed> {
    frame.get(at..).ok_or(Malformed::Link)
}

#[inline]
fn be16(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Malformed::Link),
    }
}

fn le16(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    be16(bytes, at).map(u16::swap_bytes)
}

#[inline]
fn octet(bytes: &[u8], at: usize) -> Result<u8, Malformed> {
    bytes.get(at).copied().ok_or(Malformed::Link)
}

#[cfg(test)]
mod tests;
