//! A TCP segment on its way out, which a measurement edits. Lengths and checksums are put right
//! afterwards.

use std::net::IpAddr;

use crate::error::{Error, Result};
use crate::forge::checksum;
use crate::packet::place::{class, ipv4, ipv6, tcp};
use crate::packet::tcp_option::{END, HEADER, NOP, ROOM};
use crate::packet::{TcpFlags, protocol};

/// A segment on its way out. What is not edited is as the client made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The IP header: 20 octets of IPv4, or 40 of IPv6.
    ip: Vec<u8>,
    /// The fixed header of TCP.
    tcp: [u8; tcp::HEADER],
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Segment {
    /// Takes a packet of the client's apart; `None` where it is none.
    pub(super) fn of(packet: &[u8]) -> Option<Segment> {
        let length = match packet.first()? >> 4 {
            4 => ipv4::HEADER,
            _ => ipv6::HEADER,
        };
        let (ip, rest) = packet.split_at_checked(length)?;
        let (fixed, rest) = rest.split_first_chunk::<{ tcp::HEADER }>()?;
        let header = tcp::length(fixed[tcp::OFFSET]);
        let (options, payload) = rest.split_at_checked(header.checked_sub(tcp::HEADER)?)?;
        Some(Segment {
            ip: ip.to_vec(),
            tcp: *fixed,
            options: options.to_vec(),
            payload: payload.to_vec(),
        })
    }

    fn is_v6(&self) -> bool {
        self.ip.len() == ipv6::HEADER
    }

    /// The flags, AE included.
    pub fn flags(&self) -> TcpFlags {
        TcpFlags(self.word(tcp::OFFSET) & tcp::FLAGS)
    }

    /// Whether all of these flags are set.
    pub fn has(&self, flags: TcpFlags) -> bool {
        self.flags().has(flags)
    }

    /// The sequence number.
    pub fn sequence(&self) -> u32 {
        self.number(tcp::SEQUENCE)
    }

    /// The acknowledgment number.
    pub fn acknowledgment(&self) -> u32 {
        self.number(tcp::ACKNOWLEDGMENT)
    }

    /// The window field, not scaled.
    pub fn window(&self) -> u16 {
        self.word(tcp::WINDOW)
    }

    /// The urgent pointer.
    pub fn urgent(&self) -> u16 {
        self.word(tcp::URGENT)
    }

    /// The data that it carries.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Sets the sequence number. The client goes on as if it had sent its own.
    pub fn set_sequence(&mut self, number: u32) {
        self.put(tcp::SEQUENCE, number.to_be_bytes());
    }

    /// Sets the acknowledgment number; the flag ACK is set apart.
    pub fn set_acknowledgment(&mut self, number: u32) {
        self.put(tcp::ACKNOWLEDGMENT, number.to_be_bytes());
    }

    /// Sets the window field.
    pub fn set_window(&mut self, octets: u16) {
        self.put(tcp::WINDOW, octets.to_be_bytes());
    }

    /// Sets the urgent pointer; the flag URG, without which it does not count, is set apart.
    pub fn set_urgent(&mut self, pointer: u16) {
        self.put(tcp::URGENT, pointer.to_be_bytes());
    }

    /// Carries other data. The client waits for the acknowledgment of as many octets as it wrote.
    pub fn set_payload(&mut self, octets: &[u8]) {
        self.payload = octets.to_vec();
    }

    /// Sets flags, and leaves the others.
    pub fn set(&mut self, flags: TcpFlags) {
        self.set_flags(TcpFlags(self.flags().0 | flags.0));
    }

    /// Sets the flags, all of them.
    pub fn set_flags(&mut self, flags: TcpFlags) {
        let word = self.word(tcp::OFFSET) & !tcp::FLAGS | flags.0 & tcp::FLAGS;
        self.put(tcp::OFFSET, word.to_be_bytes());
    }

    /// Sets the three bits AE, CWR and ECE as a number, the ACE field of RFC 9768, section 3.2.2.
    pub fn set_ace(&mut self, ace: u8) {
        let others = self.flags().0 & !TcpFlags::ASK_FOR_ECN.0;
        self.set_flags(TcpFlags(others | u16::from(ace & 0b111) << tcp::ACE));
    }

    /// Sets the ECN field: 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE (RFC 3168, section 5).
    pub fn set_ecn(&mut self, field: u8) {
        self.set_traffic_class(self.traffic_class() & !class::ECN | field & class::ECN);
    }

    /// Sets the differentiated services code point (RFC 2474). Only its six lowest bits count.
    pub fn set_dscp(&mut self, code_point: u8) {
        self.set_traffic_class(code_point << class::DSCP | self.traffic_class() & class::ECN);
    }

    fn traffic_class(&self) -> u8 {
        if self.is_v6() { self.ip[0] << 4 | self.ip[1] >> 4 } else { self.ip[ipv4::CLASS] }
    }

    fn set_traffic_class(&mut self, class: u8) {
        if self.is_v6() {
            self.ip[0] = self.ip[0] & 0xf0 | class >> 4;
            self.ip[1] = self.ip[1] & 0x0f | class << 4;
        } else {
            self.ip[ipv4::CLASS] = class;
        }
    }

    /// Sets the time to live, or hop limit.
    pub fn set_ttl(&mut self, hops: u8) {
        let at = if self.is_v6() { ipv6::HOP_LIMIT } else { ipv4::TTL };
        self.ip[at] = hops;
    }

    /// Sets IPv4's reserved flag (RFC 3514). IPv6 has none: there it does nothing.
    pub fn set_reserved_flag(&mut self, set: bool) {
        if !self.is_v6() {
            let [reserved, _] = ipv4::RESERVED.to_be_bytes();
            let others = self.ip[ipv4::FLAGS] & !reserved;
            self.ip[ipv4::FLAGS] = if set { others | reserved } else { others };
        }
    }

    /// Adds an option behind those that are there. The client has to leave room for it:
    /// [`TcpClient::option_room`](super::TcpClient::option_room).
    pub fn add_option(&mut self, kind: u8, value: &[u8]) {
        // The list's end, if there is one, is padding: what follows it would not be read.
        self.options.truncate(used(&self.options));
        self.options.push(kind);
        if kind > NOP {
            // What is too long for the header is refused when the segment is put together.
            self.options.push(value.len().saturating_add(HEADER).min(usize::from(u8::MAX)) as u8);
            self.options.extend(value);
        }
    }

    /// Puts these octets in the place of all options, those of the client's too: also a list that makes
    /// no sense. It is filled up with zeros to a multiple of four.
    pub fn set_options(&mut self, octets: &[u8]) {
        self.options = octets.to_vec();
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.tcp[at], self.tcp[at + 1]])
    }

    fn number(&self, at: usize) -> u32 {
        u32::from(self.word(at)) << 16 | u32::from(self.word(at + 2))
    }

    fn put<const N: usize>(&mut self, at: usize, octets: [u8; N]) {
        self.tcp[at..at + N].copy_from_slice(&octets);
    }

    /// The packet, with lengths and checksums that are right.
    ///
    /// # Errors
    ///
    /// Options or data are too many.
    pub(super) fn into_packet(mut self) -> Result<Vec<u8>> {
        self.options.resize(self.options.len().next_multiple_of(4), END);
        let options = self.options.len();
        if options > ROOM {
            return Err(Error::new(format!("{options} octets of TCP options; {ROOM} fit")));
        }
        self.tcp[tcp::OFFSET] = self.tcp[tcp::OFFSET] & 0x0f | tcp::offset(options);
        self.put(tcp::CHECKSUM, [0, 0]);
        let length = tcp::HEADER + options + self.payload.len();
        // As many as fit behind IPv4's header, whichever version it is.
        if ipv4::HEADER + length > usize::from(u16::MAX) {
            return Err(Error::new(format!("{length} octets do not fit into a packet")));
        }
        let (at, octets, addresses) = if self.is_v6() {
            (ipv6::LENGTH, length, ipv6::ADDRESSES)
        } else {
            (ipv4::LENGTH, ipv4::HEADER + length, ipv4::ADDRESSES)
        };
        self.ip[at..at + 2].copy_from_slice(&(octets as u16).to_be_bytes());
        if !self.is_v6() {
            checksum::fill_ipv4(&mut self.ip);
        }
        let addresses = &self.ip[addresses];
        let covered: [&[u8]; 3] = [&self.tcp, &self.options, &self.payload];
        let sum = checksum::of_transport(addresses, protocol::TCP, &covered);
        self.put(tcp::CHECKSUM, sum.to_be_bytes());
        let mut packet = self.ip;
        packet.reserve_exact(length);
        packet.extend(self.tcp);
        packet.extend(self.options);
        packet.extend(self.payload);
        Ok(packet)
    }

    /// The receiver's address.
    pub fn destination(&self) -> IpAddr {
        if self.is_v6() {
            IpAddr::from(self.of_ip::<16>(ipv6::DESTINATION))
        } else {
            IpAddr::from(self.of_ip::<4>(ipv4::DESTINATION))
        }
    }

    fn of_ip<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|index| self.ip[at + index])
    }
}

/// The octets of options before the list's end.
fn used(options: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        at += match (kind, options.get(at + 1)) {
            (END, _) => return at,
            (NOP, _) => 1,
            (_, Some(&length)) if usize::from(length) >= HEADER => usize::from(length),
            _ => return at,
        };
    }
    at.min(options.len())
}

#[cfg(test)]
mod tests {
    use etherparse::{NetHeaders, PacketHeaders, TransportHeader};

    use super::*;
    use crate::forge::Packet;

    const PAIRS: [(&str, &str); 2] =
        [("192.0.2.1", "198.51.100.7"), ("2001:db8::1", "2001:db8::7")];

    fn segment((target, source): (&str, &str)) -> Segment {
        let packet = Packet::to(target.parse().unwrap()).source(source.parse().unwrap());
        let made = packet.tcp_syn(80).mss(1460).option(4, &[]).payload(b"odd").bytes().unwrap();
        Segment::of(&made).unwrap()
    }

    #[test]
    fn what_is_not_edited_stays() {
        for pair in PAIRS {
            let packet = Packet::to(pair.0.parse().unwrap()).source(pair.1.parse().unwrap());
            let made = packet.tcp(80).sequence(9).option(3, &[7]).payload(b"abc").bytes().unwrap();
            let segment = Segment::of(&made).unwrap();
            assert_eq!(segment.destination(), pair.0.parse::<IpAddr>().unwrap());
            assert_eq!(segment.into_packet().unwrap(), made);
        }
    }

    #[test]
    fn what_is_edited_is_read_back_with_right_checksums() {
        for pair in PAIRS {
            let mut segment = segment(pair);
            segment.set_ace(7);
            segment.set_ecn(1);
            segment.set_dscp(46);
            segment.set_ttl(9);
            segment.set(TcpFlags::URG);
            segment.set_urgent(3);
            segment.set_window(512);
            segment.set_sequence(0x0102_0304);
            segment.set_acknowledgment(0x0506_0708);
            segment.set_payload(b"other");
            segment.add_option(172, &[1, 2, 3]);
            let words = (segment.urgent(), segment.window());
            assert_eq!((words, segment.payload()), ((3, 512), &b"other"[..]));
            let packet = segment.into_packet().unwrap();
            let headers = PacketHeaders::from_ip_slice(&packet).unwrap();
            let Some(TransportHeader::Tcp(tcp)) = &headers.transport else { panic!("no TCP") };
            let payload = headers.payload.slice();
            assert_eq!(payload, b"other");
            assert!(tcp.urg);
            let numbers = (tcp.sequence_number, tcp.acknowledgment_number);
            assert_eq!(numbers, (0x0102_0304, 0x0506_0708));
            assert_eq!((tcp.urgent_pointer, tcp.window_size), (3, 512));
            assert_eq!(Segment::of(&packet).unwrap().flags().ace(), 7);
            assert!(tcp.syn && tcp.cwr && tcp.ece && tcp.ns && !tcp.ack);
            assert_eq!(tcp.options.as_slice(), [2, 4, 5, 180, 4, 2, 172, 5, 1, 2, 3, 0]);
            match &headers.net {
                Some(NetHeaders::Ipv4(ip, _)) => {
                    assert_eq!((ip.dscp.value(), ip.ecn.value(), ip.time_to_live), (46, 1, 9));
                    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                    assert_eq!(tcp.calc_checksum_ipv4(ip, payload), Ok(tcp.checksum));
                }
                Some(NetHeaders::Ipv6(ip, _)) => {
                    assert_eq!((ip.traffic_class, ip.hop_limit), (46 << 2 | 1, 9));
                    assert_eq!(tcp.calc_checksum_ipv6(ip, payload), Ok(tcp.checksum));
                }
                _ => panic!("no IP"),
            }
        }
    }

    #[test]
    fn a_list_of_ones_own_replaces_the_clients() {
        let mut segment = segment(PAIRS[0]);
        segment.set_options(&[1, 253, 4, 7, 8]);
        let packet = segment.into_packet().unwrap();
        assert_eq!(packet[40..48], [1, 253, 4, 7, 8, 0, 0, 0]);
    }

    #[test]
    fn options_that_do_not_fit_are_refused() {
        let mut segment = segment(PAIRS[0]);
        segment.add_option(253, &[0; 33]);
        let error = segment.into_packet().unwrap_err();
        assert!(error.message().contains("options"), "{error}");
    }

    #[test]
    fn what_is_no_segment_is_none() {
        assert_eq!(Segment::of(&[]), None);
        assert_eq!(Segment::of(&[0x45; 30]), None);
        assert_eq!(used(&[2, 4, 1, 1, 1, 0, 9]), 5);
        assert_eq!(used(&[3]), 0);
    }
}
