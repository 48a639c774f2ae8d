//! Readers of what an ICMP error carries: the beginning of the packet that it is about, and what
//! routers add behind it (RFC 4884).
//!
//! A router may quote as little as eight octets of the transport header (RFC 792), and may say of the
//! quoted packet what it likes. So no reader goes beyond what is there. The quoted packet's own length
//! only says where padding begins: some systems quote it in another order of octets.

use super::extensions::Extensions as IpExtensions;
use super::place::icmp::{v4, v6};
use super::place::{ipv4, ipv6, tcp, udp};
use super::tcp::{TcpFlags, TcpOptions};
use super::{Icmp, Ip, be16, be32, protocol};

/// The beginning of a packet, as an ICMP error quotes it: its whole IP header, and some of what
/// follows.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a> {
    ip: Ip<'a>,
    protocol: u8,
    later_fragment: Option<u32>,
    transport: &'a [u8],
}

impl<'a> Quoted<'a> {
    /// Reads a quote; `None` where the IP header is not all there.
    pub(super) fn read(part: QuotedPart<'a>) -> Option<Quoted<'a>> {
        match part.octets.first()? >> 4 {
            4 => Quoted::v4(part),
            6 => Quoted::v6(part),
            _ => None,
        }
    }

    fn v4(part: QuotedPart<'a>) -> Option<Quoted<'a>> {
        let fixed = part.octets.first_chunk::<{ ipv4::HEADER }>()?;
        let header = ipv4::length(fixed[0]);
        let octets = part.without_padding(be16(fixed, ipv4::LENGTH).into(), header);
        let (bytes, transport) = octets.split_at_checked(header)?;
        if bytes.len() < ipv4::HEADER {
            return None;
        }
        let is_later = be16(fixed, ipv4::FLAGS) & ipv4::OFFSET != 0;
        Some(Quoted {
            ip: Ip { bytes, is_v6: false },
            protocol: fixed[ipv4::PROTOCOL],
            later_fragment: is_later.then(|| be16(fixed, ipv4::IDENTIFICATION).into()),
            transport,
        })
    }

    fn v6(part: QuotedPart<'a>) -> Option<Quoted<'a>> {
        let fixed = part.octets.first_chunk::<{ ipv6::HEADER }>()?;
        let octets = part
            .without_padding(ipv6::HEADER + usize::from(be16(fixed, ipv6::LENGTH)), ipv6::HEADER);
        let extensions = IpExtensions::walk(fixed[ipv6::NEXT_HEADER], &octets[ipv6::HEADER..])?;
        let (bytes, transport) = octets.split_at_checked(ipv6::HEADER + extensions.length)?;
        let later = extensions.fragment.filter(|fragment| fragment.offset != 0);
        Some(Quoted {
            ip: Ip { bytes, is_v6: true },
            protocol: extensions.protocol,
            later_fragment: later.map(|fragment| fragment.identification),
            transport,
        })
    }

    /// The quoted packet's IP header, which is all there.
    #[inline]
    pub fn ip(&self) -> Ip<'a> {
        self.ip
    }

    /// The IANA number of its transport protocol.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Octets of the quoted packet that are there, IP header included.
    #[inline]
    pub fn length(&self) -> usize {
        self.ip.bytes.len() + self.transport.len()
    }

    /// Where the quoted packet is a fragment that does not begin its packet: the identification. It
    /// has no transport header then.
    #[inline]
    pub fn later_fragment(&self) -> Option<u32> {
        self.later_fragment
    }

    /// What is there after the IP header: the beginning of the transport header, as a rule.
    #[inline]
    pub fn transport(&self) -> &'a [u8] {
        self.transport
    }

    /// Sender's and receiver's port.
    pub fn ports(&self) -> Option<(u16, u16)> {
        use protocol::{SCTP, TCP, UDP, UDP_LITE};
        let has_ports = matches!(self.protocol, TCP | UDP | UDP_LITE | SCTP);
        let header = self.header(tcp::SEQUENCE).filter(|_| has_ports)?;
        Some((be16(header, tcp::SOURCE_PORT), be16(header, tcp::DESTINATION_PORT)))
    }

    /// TCP's sequence number.
    pub fn tcp_sequence(&self) -> Option<u32> {
        Some(be32(self.header_of(protocol::TCP, tcp::ACKNOWLEDGMENT)?, tcp::SEQUENCE))
    }

    /// TCP's acknowledgment number, which every router quotes that quotes twelve octets.
    pub fn tcp_acknowledgment(&self) -> Option<u32> {
        Some(be32(self.header_of(protocol::TCP, tcp::OFFSET)?, tcp::ACKNOWLEDGMENT))
    }

    /// TCP's flags.
    pub fn tcp_flags(&self) -> Option<TcpFlags> {
        Some(TcpFlags(be16(self.header_of(protocol::TCP, tcp::WINDOW)?, tcp::OFFSET) & tcp::FLAGS))
    }

    /// TCP's options, as far as they are quoted; `None` where the fixed header is not all there.
    pub fn tcp_options(&self) -> Option<TcpOptions<'a>> {
        let header = self.header_of(protocol::TCP, tcp::HEADER)?;
        let length = self.tcp_header_length()?;
        Some(TcpOptions::new(&header[tcp::HEADER..header.len().min(length).max(tcp::HEADER)]))
    }

    /// The octets that TCP's header has by its own word, options included; `None` if the fixed header is
    /// not all there.
    pub fn tcp_header_length(&self) -> Option<usize> {
        Some(tcp::length(self.header_of(protocol::TCP, tcp::HEADER)?[tcp::OFFSET]))
    }

    /// TCP's checksum field.
    pub fn tcp_checksum(&self) -> Option<u16> {
        Some(be16(self.header_of(protocol::TCP, tcp::URGENT)?, tcp::CHECKSUM))
    }

    /// UDP's length field.
    pub fn udp_length(&self) -> Option<u16> {
        Some(be16(self.header_of(protocol::UDP, udp::HEADER)?, udp::LENGTH))
    }

    /// UDP's checksum field.
    pub fn udp_checksum(&self) -> Option<u16> {
        Some(be16(self.header_of(protocol::UDP, udp::HEADER)?, udp::CHECKSUM))
    }

    /// The transport header's octets, where this many are there.
    fn header(&self, octets: usize) -> Option<&'a [u8]> {
        (self.later_fragment.is_none() && self.transport.len() >= octets).then_some(self.transport)
    }

    fn header_of(&self, protocol: u8, octets: usize) -> Option<&'a [u8]> {
        self.header(octets).filter(|_| self.protocol == protocol)
    }
}

/// The octets that a quote has at the least where something follows it (RFC 4884, section 4).
const LEAST_BEFORE_EXTENSIONS: usize = 128;

/// Where an error says how long its quote is: in ICMP and in ICMPv6.
const QUOTE_LENGTH_V4: usize = 5;
const QUOTE_LENGTH_V6: usize = 4;

/// The version of what follows a quote, and octets of its head and of an object's (RFC 4884, section 7).
const EXTENSIONS_VERSION: u8 = 2;
const EXTENSIONS_HEAD: usize = 4;
const OBJECT_HEAD: usize = 4;

/// The octets of the transport header that every quote has (RFC 792).
const LEAST_OF_TRANSPORT: usize = 8;

/// The part of an error's body that is the quote.
#[derive(Clone, Copy)]
pub(super) struct QuotedPart<'a> {
    octets: &'a [u8],
    /// Whether a short packet is followed by padding.
    may_be_padded: bool,
}

impl<'a> QuotedPart<'a> {
    /// The quote of a packet that claims this length, header included. Padding (RFC 4884, section 5.1)
    /// is no part of it.
    fn without_padding(self, claimed: usize, header: usize) -> &'a [u8] {
        let is_believed = self.may_be_padded && claimed >= header + LEAST_OF_TRANSPORT;
        let length = if is_believed { claimed } else { self.octets.len() };
        &self.octets[..self.octets.len().min(length)]
    }
}

/// Cuts an error's body into the quote and what follows it.
///
/// The header says how long the quote is, in words of four octets or, for IPv6, of eight (RFC 4884,
/// sections 4.1 to 4.5). 0 is a router that adds nothing.
pub(super) fn split<'a>(icmp: &Icmp<'a>) -> (QuotedPart<'a>, &'a [u8]) {
    let words = match (icmp.is_v6, icmp.kind()) {
        (false, v4::UNREACHABLE | v4::TIME_EXCEEDED | v4::PARAMETER_PROBLEM) => {
            usize::from(icmp.header[QUOTE_LENGTH_V4]) * 4
        }
        (true, v6::UNREACHABLE | v6::TIME_EXCEEDED) => {
            usize::from(icmp.header[QUOTE_LENGTH_V6]) * 8
        }
        _ => 0,
    };
    let may_be_padded = words >= LEAST_BEFORE_EXTENSIONS;
    let length = if may_be_padded { words.min(icmp.body.len()) } else { icmp.body.len() };
    let (octets, behind) = icmp.body.split_at(length);
    (QuotedPart { octets, may_be_padded }, behind)
}

/// The objects behind a quote, in their order.
#[derive(Debug, Clone)]
pub struct Extensions<'a> {
    rest: &'a [u8],
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionObject<'a> {
    /// Its class, an IANA number: 1 is a stack of MPLS labels.
    pub class: u8,
    /// What kind of its class it is.
    pub kind: u8,
    /// What it carries, as much of it as is there.
    pub data: &'a [u8],
}

impl<'a> Extensions<'a> {
    /// Reads what follows a quote. There is nothing in it where the version is another one.
    pub(super) fn read(octets: &'a [u8]) -> Extensions<'a> {
        let is_known = octets.first().is_some_and(|byte| byte >> 4 == EXTENSIONS_VERSION);
        Extensions { rest: octets.get(EXTENSIONS_HEAD..).filter(|_| is_known).unwrap_or_default() }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = ExtensionObject<'a>;

    /// An object that claims less than its own header ends the walk, and one that claims more than
    /// there is is the last.
    fn next(&mut self) -> Option<ExtensionObject<'a>> {
        let (&[high, low, class, kind], _) = self.rest.split_first_chunk::<OBJECT_HEAD>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < OBJECT_HEAD {
            self.rest = &[];
            return None;
        }
        let (object, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        Some(ExtensionObject { class, kind, data: &object[OBJECT_HEAD..] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 packet of TCP, from its fields: a SYN with one option.
    fn syn() -> Vec<u8> {
        let mut packet = vec![0x45, 0xb8, 0, 44, 0x12, 0x34, 0x40, 0, 1, 6, 0, 0];
        packet.extend([192, 0, 2, 1, 198, 51, 100, 7]);
        packet.extend([0x9c, 0x40, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x61, 0xc2, 0xfa, 0, 0, 0, 0, 0]);
        packet.extend([2, 4, 5, 0xb4]);
        packet
    }

    fn error<'a>(
        is_v6: bool,
        header: &'a [u8; 8],
        body: &'a [u8],
    ) -> Option<(Quoted<'a>, Vec<u8>)> {
        let icmp = Icmp::new(is_v6, header, body)?;
        let classes = icmp.extensions().map(|object| object.class).collect();
        Quoted::read(split(&icmp).0).map(|quoted| (quoted, classes))
    }

    const EXCEEDED: [u8; 8] = [11, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn each_reader_says_what_is_quoted_and_no_more() {
        let syn = syn();
        let (quoted, _) = error(false, &EXCEEDED, &syn).unwrap();
        assert_eq!((quoted.ip().ttl(), quoted.ip().dscp(), quoted.ip().ecn()), (1, 46, 0));
        assert_eq!((quoted.length(), quoted.ports()), (44, Some((40_000, 80))));
        assert_eq!(quoted.tcp_sequence(), Some(0x0102_0304));
        assert_eq!(quoted.tcp_flags().unwrap().0, 0x1c2);
        assert_eq!(quoted.tcp_options().unwrap().next().unwrap().data, [5, 0xb4]);
        assert_eq!(quoted.udp_length(), None);
        for length in 0..syn.len() {
            let Some((quoted, _)) = error(false, &EXCEEDED, &syn[..length]) else {
                assert!(length < 20);
                continue;
            };
            assert_eq!(quoted.length(), length);
            assert_eq!(quoted.ports().is_some(), length >= 24);
            assert_eq!(quoted.tcp_sequence().is_some(), length >= 28);
            assert_eq!(quoted.tcp_acknowledgment().is_some(), length >= 32);
            assert_eq!(quoted.tcp_flags().is_some(), length >= 34);
            assert_eq!(quoted.tcp_options().is_some(), length >= 40);
        }
    }

    #[test]
    fn what_is_added_is_no_part_of_the_quote() {
        let mut body = syn();
        body.resize(128, 0);
        // Two objects. The last one claims more than there is.
        body.extend([0x20, 0, 0, 0, 0, 8, 1, 1, 0, 1, 0x21, 1, 0xff, 0xff, 2, 0x0f, 9]);
        let mut header = EXCEEDED;
        header[5] = 32;
        let (quoted, classes) = error(false, &header, &body).unwrap();
        assert_eq!((quoted.length(), &classes[..]), (44, &[1, 2][..]));
        // The same length in the field of version 6 is none, and in other messages too.
        assert_eq!(error(false, &EXCEEDED, &body).unwrap().1, []);
        header[0] = 5;
        assert_eq!(error(false, &header, &body).unwrap().1, []);
        // A length beyond the body, and one that is shorter than any may be.
        for words in [1, 31, 255] {
            header[0] = 3;
            header[5] = words;
            let length = if words == 255 { 44 } else { body.len() };
            assert_eq!(error(false, &header, &body).unwrap().0.length(), length, "{words}");
        }
    }

    #[test]
    fn version_6_has_its_own_place_for_the_length() {
        let mut body = vec![0x60, 0, 0, 0, 0, 30, 44, 1];
        body.extend([0x20; 32]);
        // A later fragment: no transport header.
        body.extend([17, 0, 0, 8, 0, 0, 0, 7]);
        body.resize(136, 1);
        body.extend([0x20, 0, 0, 0, 0, 4, 3, 1]);
        let header = [3, 0, 0, 0, 17, 0, 0, 0];
        let (quoted, classes) = error(true, &header, &body).unwrap();
        assert_eq!((quoted.length(), quoted.later_fragment()), (70, Some(7)));
        assert_eq!((quoted.ports(), quoted.udp_length(), &classes[..]), (None, None, &[3][..]));
    }

    #[test]
    fn nothing_goes_beyond_what_is_there() {
        let mut body = syn();
        body.resize(160, 0xff);
        for at in 0..body.len() {
            for value in [0, 1, 0x0f, 0x45, 0x60, 0x7f, 0xff] {
                let mut damaged = body.clone();
                damaged[at] = value;
                for (is_v6, words) in [(false, 0), (false, 32), (true, 16), (true, 255)] {
                    let header = if is_v6 {
                        [1, 0, 0, 0, words, 0, 0, 0]
                    } else {
                        [3, 0, 0, 0, 0, words, 0, 0]
                    };
                    let read = |length: usize| {
                        let Some((quoted, _)) = error(is_v6, &header, &damaged[..length]) else {
                            return;
                        };
                        assert!(quoted.length() <= length);
                        let _ = (quoted.ports(), quoted.tcp_flags(), quoted.udp_checksum());
                        let _ = quoted.tcp_options().map(Iterator::count);
                    };
                    [20, 44, 130, 160].into_iter().for_each(read);
                }
            }
        }
    }
}
