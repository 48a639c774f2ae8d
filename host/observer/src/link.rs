//! Link layers: finds where in a captured frame the IP packet begins. What is in the packet is read elsewhere
//! (`dissect`).

mod ether;
mod logged;
mod others;
mod wireless;

use super::counters::Malformed;
pub(crate) use ether::{BRIDGED, MPLS_OF_ONE as MPLS, carried, ppp};

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
    /// Frame Relay (RFC 2427), with or without an octet before it that says which way it went.
    FrameRelay,
    /// See [`FrameRelay`](Link::FrameRelay).
    FrameRelayWithDirection,
    /// Cisco's HDLC behind such an octet.
    CiscoHdlcWithDirection,
    /// The tag of a switch of this many octets, between an Ethernet frame's addresses and its type.
    SwitchTag(u8),
    /// Token Ring (IEEE 802.5).
    TokenRing,
    /// FDDI.
    Fddi,
    /// Apple's header before a frame of any interface.
    Apple,
    /// Juniper's header before a frame of Ethernet, PPP, Frame Relay or Cisco's HDLC.
    Juniper(Behind),
    /// IP over ATM without a header of ATM: LLC, or IP alone (RFC 2225).
    AtmClip,
    /// ATM with Sun's header.
    AtmSun,
    /// ARCNET; its kind of protocol stands at this octet.
    Arcnet(u8),
    /// Multilink Frame Relay (FRF.16).
    FrameRelayOfMany,
    /// Cable modems' frames (DOCSIS).
    Cable,
    /// A record of Endace's cards.
    Endace,
    /// Ethernet with its preamble, which says whether the frame is whole (IEEE 802.3br).
    Preempted,
    /// So many octets that say nothing about what follows, which is IP.
    BeforeIp(u8),
    /// The same before an EtherType and so many octets that are not used.
    BeforeType(u8, u8),
    /// The same before an Ethernet frame.
    BeforeEthernet(u8),
    /// The same before LLC.
    BeforeLlc(u8),
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
            107 => Link::FrameRelay,
            206 => Link::FrameRelayWithDirection,
            205 => Link::CiscoHdlcWithDirection,
            // Broadcom's and Marvell's tags. One of Broadcom's stands before the frame.
            281 | 284 => Link::SwitchTag(4),
            285 => Link::SwitchTag(8),
            282 => Link::BeforeEthernet(4),
            6 => Link::TokenRing,
            10 => Link::Fddi,
            258 => Link::Apple,
            178 => Link::Juniper(Behind::Ethernet),
            179 => Link::Juniper(Behind::Ppp),
            180 => Link::Juniper(Behind::FrameRelay),
            181 => Link::Juniper(Behind::CiscoHdlc),
            106 => Link::AtmClip,
            123 => Link::AtmSun,
            7 => Link::Arcnet(2),
            129 => Link::Arcnet(4),
            182 => Link::FrameRelayOfMany,
            143 => Link::Cable,
            197 => Link::Endace,
            274 => Link::Preempted,
            // SLIP of BSD and of BSD/OS; OpenBSD's view of IPsec; Solaris' of its interfaces.
            8 => Link::BeforeIp(16),
            226 => Link::BeforeIp(24),
            102 => Link::BeforeIp(24),
            109 => Link::BeforeIp(12),
            // IP over InfiniBand, behind a global route header (RFC 4391).
            242 => Link::BeforeType(40, 2),
            // IP over IEEE 1394, behind two names (RFC 2734).
            138 => Link::BeforeType(16, 0),
            // What Hilscher's analyser writes.
            240 => Link::BeforeEthernet(4),
            // The same with the preamble, and a passive optical network's preamble.
            241 => Link::BeforeEthernet(12),
            259 => Link::BeforeEthernet(8),
            // IP over Fibre Channel, behind two names (RFC 2625).
            122 => Link::BeforeLlc(16),
            _ => return None,
        })
    }

    /// The name of a LINKTYPE number, for messages: libpcap's, where it has one.
    pub fn name(number: u32) -> String {
        // Files have other numbers than libpcap's own for these.
        let own = match number {
            100 => 11,
            101 => 12,
            102 => 15,
            103 => 16,
            106 => 19,
            number => number,
        };
        let known = i32::try_from(own).ok().map(pcap::Linktype);
        let named = known.and_then(|known| {
            Some((known.get_name().ok()?, known.get_description().unwrap_or_default()))
        });
        match named {
            Some((name, description)) => format!("{number} ({name}: {description})"),
            None if number == 252 => {
                "252 (WIRESHARK_UPPER_PDU: what Wireshark exported)".to_owned()
            }
            None if (147..=162).contains(&number) => {
                format!("{number} (USER{}: for private use)", number - 147)
            }
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
            // Either may stand behind either number.
            Link::CiscoHdlc if frame.starts_with(&[0xff, 3]) => ppp(frame),
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
            Link::FrameRelay => others::frame_relay(frame),
            Link::FrameRelayWithDirection => others::frame_relay(from(frame, 1)?),
            Link::CiscoHdlcWithDirection => carried(be16(frame, 3)?, from(frame, 5)?),
            Link::SwitchTag(octets) => others::tagged(frame, octets.into()),
            Link::TokenRing => others::token_ring(frame),
            Link::Fddi => others::fddi(frame),
            Link::Apple => others::apple(frame),
            Link::Juniper(behind) => others::juniper(frame, behind),
            Link::AtmClip => others::atm(frame),
            Link::AtmSun => others::atm_of_sun(frame),
            Link::Arcnet(at) => others::arcnet(frame, at.into()),
            Link::FrameRelayOfMany => others::frame_relay_of_many(frame),
            Link::Cable => others::cable(frame),
            Link::Endace => others::endace(frame),
            Link::Preempted => others::preempted(frame),
            Link::BeforeIp(octets) => from(frame, octets.into()).map(Some),
            Link::BeforeType(octets, unused) => {
                let at = usize::from(octets);
                carried(be16(frame, at)?, from(frame, at + 2 + usize::from(unused))?)
            }
            Link::BeforeEthernet(octets) => ether::frame(from(frame, octets.into())?),
            Link::BeforeLlc(octets) => ether::llc(from(frame, octets.into())?),
            Link::Unknown => Ok(None),
        }
    }
}

/// What stands behind Juniper's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// Ethernet.
    Ethernet,
    /// PPP.
    Ppp,
    /// Frame Relay.
    FrameRelay,
    /// Cisco's HDLC.
    CiscoHdlc,
}

impl Behind {
    fn link(self) -> Link {
        match self {
            Behind::Ethernet => Link::Ethernet,
            Behind::Ppp => Link::Ppp,
            Behind::FrameRelay => Link::FrameRelay,
            Behind::CiscoHdlc => Link::CiscoHdlc,
        }
    }
}

/// What is behind a header of the capture that names the link type. No second such header: they could
/// go on for ever.
fn followed(number: u32, frame: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    match Link::from_number(number) {
        None | Some(Link::Ppi | Link::Apple) => Ok(None),
        Some(link) => link.ip_packet(frame),
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

fn le32(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    Ok(u32::from(le16(bytes, at)?) | u32::from(le16(bytes, at + 2)?) << 16)
}

#[inline]
fn octet(bytes: &[u8], at: usize) -> Result<u8, Malformed> {
    bytes.get(at).copied().ok_or(Malformed::Link)
}

#[cfg(test)]
mod tests;
