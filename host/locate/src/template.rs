//! One packet that is sent again and again: as it left this machine, with other hops to live, another
//! source port and a token that is found in quotes and answers.
//!
//! A capture on the sending machine does not have what the wire has: checksums are partial, and several
//! segments are one. So a packet is made whole first. A checksum that is wrong on purpose stays wrong,
//! and none stays none.

use std::net::{IpAddr, SocketAddr};

use pathspider_observer::{Dissected, dissect, packet};
use pathspider_plugin_api::forge::{self, checksum};
use pathspider_plugin_api::packet::place::{ipv4, ipv6, tcp, udp};
use pathspider_plugin_api::packet::quic::{LongHeader, is_known};
use pathspider_plugin_api::packet::tcp_option::{END, HEADER, NOP, TIMESTAMPS, TIMESTAMPS_LENGTH};
use pathspider_plugin_api::packet::{Direction, Packet, TcpFlags, protocol};

/// Octets of data that a copy has at the most: with all headers it fits the smallest path of IPv6.
const MOST_DATA: usize = 1_100;

/// Octets of the option of timestamps.
const TIMESTAMPS_OCTETS: usize = TIMESTAMPS_LENGTH as usize;

/// The port of name servers, and octets of a message's header (RFC 1035, section 4.1.1).
const DNS: u16 = 53;
const DNS_HEADER: usize = 12;

/// Octets of a long header of QUIC before the connection ID: the first octet, the version, and the ID's
/// length (RFC 8999, section 5.1).
const BEFORE_ID: usize = 1 + 4 + 1;

/// A packet to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    octets: Vec<u8>,
    ip_length: usize,
    protocol: u8,
    ports: (u16, u16),
    /// Octets of the transport header.
    header: usize,
}

/// What differs from copy to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) ttl: u8,
    pub(crate) port: u16,
    /// The number that finds the copy again.
    pub(crate) token: Token,
}

/// What distinguishes a copy from others, in quotes and in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// TCP's sequence number; 0 for UDP.
    pub(crate) sequence: u32,
    /// IPv4's identification, UDP's identifier of a DNS query, and the window of a segment with data.
    pub(crate) number: u16,
}

/// Octets of a packet that was captured, on the wire: as many as it claims, where that is more.
fn on_wire(captured: &[u8]) -> Option<u32> {
    let claimed = match (captured.first()? >> 4, captured.get(ipv4::LENGTH..ipv6::LENGTH + 2)?) {
        (4, &[high, low, ..]) => u16::from_be_bytes([high, low]).into(),
        (_, &[.., high, low]) => u32::from(u16::from_be_bytes([high, low])) + ipv6::HEADER as u32,
        _ => 0,
    };
    Some(claimed.max(u32::try_from(captured.len()).ok()?))
}

impl Template {
    /// Takes a packet as it was captured or made; `None` where it is neither TCP nor UDP, or a fragment,
    /// or not whole.
    pub fn new(captured: &[u8]) -> Option<Template> {
        let mut dissected = Dissected::NONE;
        dissect(captured, on_wire(captured)?, &mut dissected).ok()?;
        let view = packet(&dissected, 0, Direction::Forward);
        let ports = view.ports()?;
        let protocol = dissected.tuple.protocol;
        if !matches!(protocol, protocol::TCP | protocol::UDP)
            || dissected.fragment != pathspider_observer::Fragment::None
            || (dissected.payload.len() as u32) < dissected.payload_length.min(MOST_DATA as u32)
        {
            return None;
        }
        let (ip_length, header) = (dissected.ip.len(), dissected.transport.len());
        let mut octets = [dissected.ip, dissected.transport, dissected.payload].concat();
        // A datagram is whole or another one.
        let is_long = protocol == protocol::TCP && dissected.payload_length > MOST_DATA as u32;
        octets.truncate(if is_long { ip_length + header + MOST_DATA } else { octets.len() });
        let mut template = Template { octets, ip_length, protocol, ports, header };
        let is_partial = template.checksum() == template.partial_checksum(captured.len());
        if is_long || (is_partial && template.checksum() != 0) {
            template.fill_checksum();
        }
        template.fit_length();
        Some(template)
    }

    /// Whether it is TCP.
    pub fn is_tcp(&self) -> bool {
        self.protocol == protocol::TCP
    }

    /// The sequence number, where it is TCP.
    pub fn sequence(&self) -> Option<u32> {
        self.view(|packet| packet.tcp().map(|tcp| tcp.sequence()))
    }

    /// The address and port that it is sent from.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(self.view(|packet| packet.ip().source()), self.ports.0)
    }

    /// Its first octets of data, no more than so many.
    pub fn first_data(&self, most: usize) -> Vec<u8> {
        self.view(|packet| packet.payload().iter().copied().take(most).collect())
    }

    /// Where it goes.
    pub fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.view(|packet| packet.ip().destination()), self.ports.1)
    }

    /// Whether it opens a connection of TCP.
    pub fn is_syn(&self) -> bool {
        let opens = TcpFlags::SYN;
        self.view(|packet| {
            packet.tcp().is_some_and(|tcp| tcp.has(opens) && !tcp.has(TcpFlags::ACK))
        })
    }

    /// Type of service, or traffic class.
    pub fn traffic_class(&self) -> u8 {
        self.view(|packet| packet.ip().traffic_class())
    }

    /// The same with another type of service, or traffic class.
    pub fn with_traffic_class(mut self, class: u8) -> Template {
        if self.is_v6() {
            self.octets[0] = self.octets[0] & 0xf0 | class >> 4;
            self.octets[1] = class << 4 | self.octets[1] & 0x0f;
        } else {
            self.octets[ipv4::CLASS] = class;
            self.fit_length();
        }
        self
    }

    /// The same with the timestamps and the flow label of another packet, where it has them: each
    /// connection has others, which mean nothing.
    pub fn with_accidents_of(mut self, other: &Template) -> Template {
        if let (Some(at), Some(from)) = (self.option_at(TIMESTAMPS), other.option_at(TIMESTAMPS)) {
            let stamps = other.octets[from..from + TIMESTAMPS_OCTETS].to_vec();
            self.octets[at..at + TIMESTAMPS_OCTETS].copy_from_slice(&stamps);
            self.fill_checksum();
        }
        if self.is_v6() && other.is_v6() {
            self.octets[1] = self.octets[1] & 0xf0 | other.octets[1] & 0x0f;
            self.octets[2..4].copy_from_slice(&other.octets[2..4]);
        }
        self
    }

    /// The packet's octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    fn is_v6(&self) -> bool {
        self.octets[0] >> 4 == 6
    }

    pub(crate) fn view<T>(&self, look: impl FnOnce(&Packet<'_>) -> T) -> T {
        let mut dissected = Dissected::NONE;
        // It was dissected when it was made, and no length changes.
        let _ = dissect(&self.octets, self.octets.len() as u32, &mut dissected);
        look(&packet(&dissected, 0, Direction::Forward))
    }

    /// Octets of the payload.
    pub(crate) fn data_length(&self) -> usize {
        self.octets.len() - self.ip_length - self.header
    }

    fn checksum_at(&self) -> usize {
        self.ip_length + if self.is_tcp() { tcp::CHECKSUM } else { udp::CHECKSUM }
    }

    /// Whether its transport has a checksum: a datagram over IPv4 may have none.
    pub(crate) fn has_checksum(&self) -> bool {
        self.is_tcp() || self.checksum() != 0
    }

    fn checksum(&self) -> u16 {
        let at = self.checksum_at();
        u16::from_be_bytes([self.octets[at], self.octets[at + 1]])
    }

    fn addresses(&self) -> &[u8] {
        let at = if self.is_v6() { ipv6::ADDRESSES } else { ipv4::ADDRESSES };
        &self.octets[at]
    }

    /// What the kernel leaves in the checksum if the card fills it in: the sum of the pseudo header of
    /// a packet that was `captured` octets long.
    fn partial_checksum(&self, captured: usize) -> u16 {
        let length = (captured - self.ip_length) as u32;
        let numbers = [u32::from(self.protocol).to_be_bytes(), length.to_be_bytes()].concat();
        !checksum::of(&[self.addresses(), &numbers])
    }

    fn fill_checksum(&mut self) {
        let at = self.checksum_at();
        self.set(at, 0);
        let rest = &self.octets[self.ip_length..];
        let numbers =
            [u32::from(self.protocol).to_be_bytes(), (rest.len() as u32).to_be_bytes()].concat();
        let sum = match checksum::of(&[self.addresses(), &numbers, rest]) {
            0 if !self.is_tcp() => u16::MAX,
            sum => sum,
        };
        self.set(at, sum);
    }

    /// Puts the IP header's length and checksum right.
    fn fit_length(&mut self) {
        let length = self.octets.len();
        if self.is_v6() {
            self.set(ipv6::LENGTH, (length - ipv6::HEADER) as u16);
            return;
        }
        self.set(ipv4::LENGTH, length as u16);
        self.set(ipv4::CHECKSUM, 0);
        let sum = checksum::of(&[&self.octets[..self.ip_length]]);
        self.set(ipv4::CHECKSUM, sum);
    }

    /// Replaces two octets, whatever covers them.
    fn set(&mut self, at: usize, word: u16) {
        self.octets[at..at + 2].copy_from_slice(&word.to_be_bytes());
    }

    /// Replaces octets that the transport's checksum covers.
    fn put(&mut self, at: usize, new: &[u8]) {
        let Some(place) = self.octets.get_mut(at..at + new.len()) else { return };
        let old = place.to_vec();
        place.copy_from_slice(new);
        let sum = if self.is_tcp() {
            checksum::mended(self.checksum(), &old, new)
        } else {
            checksum::mended_udp(self.checksum(), &old, new)
        };
        self.set(self.checksum_at(), sum);
    }

    /// A copy. What comes back of it is found by the stamp.
    pub(crate) fn stamped(&self, stamp: Stamp) -> Template {
        let mut copy = self.clone();
        let at = copy.ip_length;
        copy.put(at + tcp::SOURCE_PORT, &stamp.port.to_be_bytes());
        copy.ports.0 = stamp.port;
        if copy.is_tcp() {
            copy.put(at + tcp::SEQUENCE, &stamp.token.sequence.to_be_bytes());
        }
        if let Some(number) = copy.number_at() {
            copy.put(at + number, &stamp.token.number.to_be_bytes());
        }
        if let Some(id) = copy.connection_id() {
            // A target of QUIC takes no copy for a packet of the connection that it knows.
            copy.put(id + 2, &stamp.port.to_be_bytes());
        }
        if copy.is_v6() {
            copy.octets[ipv6::HOP_LIMIT] = stamp.ttl;
        } else {
            copy.octets[ipv4::TTL] = stamp.ttl;
            copy.set(ipv4::IDENTIFICATION, stamp.token.number);
            copy.fit_length();
        }
        copy
    }

    /// A copy within a connection that this SYN made: it acknowledges what the target sent. Its timestamps
    /// are the SYN's and the target's, for a target drops what has an older one than the SYN (RFC 7323,
    /// section 5.3), and the packet may be of another connection.
    pub(crate) fn acknowledging(
        &self,
        number: u32,
        timestamp: Option<u32>,
        syn: Option<&Template>,
    ) -> Template {
        let mut copy = self.clone();
        copy.put(copy.ip_length + tcp::ACKNOWLEDGMENT, &number.to_be_bytes());
        if let (Some(at), Some(timestamp)) = (copy.option_at(TIMESTAMPS), timestamp) {
            // Options may stand at odd places, and a sum is of words: the whole header is summed anew.
            let (own, echo) = (at + HEADER, at + HEADER + size_of::<u32>());
            if let Some((syn, from)) = syn.and_then(|syn| Some((syn, syn.option_at(TIMESTAMPS)?))) {
                let of_syn = &syn.octets[from + HEADER..][..size_of::<u32>()];
                copy.octets[own..echo].copy_from_slice(of_syn);
            }
            copy.octets[echo..echo + size_of::<u32>()].copy_from_slice(&timestamp.to_be_bytes());
            copy.fill_checksum();
        }
        copy
    }

    /// The same without its data: an acknowledgment.
    pub(crate) fn without_data(&self) -> Template {
        let mut copy = self.clone();
        copy.octets.truncate(copy.ip_length + copy.header);
        copy.octets[copy.ip_length + tcp::OFFSET + 1] = TcpFlags::ACK.byte();
        copy.fill_checksum();
        copy.fit_length();
        copy
    }

    /// Where an option begins.
    fn option_at(&self, kind: u8) -> Option<usize> {
        let (mut at, end) = (self.ip_length + tcp::HEADER, self.ip_length + self.header);
        while at < end {
            match self.octets[at] {
                END => return None,
                NOP => at += 1,
                found if found == kind && at + TIMESTAMPS_OCTETS <= end => return Some(at),
                _ => at += usize::from(*self.octets.get(at + 1)?).max(HEADER),
            }
        }
        None
    }

    /// Whether it is a datagram that asks a name server, whose identifier may be any.
    pub(crate) fn asks_dns(&self) -> bool {
        self.protocol == protocol::UDP && self.ports.1 == DNS && self.data_length() >= DNS_HEADER
    }

    /// Where in its transport header or data a copy carries the number of its token, beside IPv4's
    /// identification.
    pub(crate) fn number_at(&self) -> Option<usize> {
        match self.protocol {
            protocol::TCP => (!self.is_syn()).then_some(tcp::WINDOW),
            _ if self.asks_dns() => Some(self.header),
            _ => self.connection_id().map(|at| at - self.ip_length),
        }
    }

    /// Whether a target may answer a copy. One of QUIC's first datagram it cannot open, for the keys follow
    /// from the connection ID (RFC 9001, section 5.2).
    pub(crate) fn is_answerable(&self) -> bool {
        self.connection_id().is_none()
    }

    /// Where the connection ID stands that a first datagram of QUIC has chosen for the target (RFC 9000,
    /// section 7.2: of eight octets at the least); `None` for other packets.
    fn connection_id(&self) -> Option<usize> {
        let data = self.octets.get(self.ip_length + self.header..)?;
        let header = LongHeader::read(data).filter(|header| is_known(header.version()))?;
        let is_whole = self.protocol == protocol::UDP && header.destination().len() >= 8;
        is_whole.then_some(self.ip_length + self.header + BEFORE_ID)
    }

    /// The reset that frees the target of what a copy began: with this sequence number.
    pub(crate) fn reset(&self, port: u16, sequence: u32) -> Option<Vec<u8>> {
        let remote = self.remote();
        let source: IpAddr = self.view(|packet| packet.ip().source());
        let segment = forge::Packet::to(remote.ip()).source(source).tcp(remote.port());
        let segment = segment.source_port(port).flags(TcpFlags::RST).sequence(sequence).window(0);
        segment.bytes().ok()
    }
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::packet::quic;

    use super::*;

    fn syn() -> Vec<u8> {
        let packet = forge::Packet::to([192, 0, 2, 1].into()).source([10, 0, 0, 2].into());
        packet.tcp_syn(80).source_port(4000).mss(1460).bytes().unwrap()
    }

    fn sum_is_right(octets: &[u8]) -> bool {
        let again = Template::new(octets).unwrap();
        let mut filled = again.clone();
        filled.fill_checksum();
        filled == again
    }

    const STAMP: Stamp =
        Stamp { ttl: 3, port: 5000, token: Token { sequence: 0xfedc_ba98, number: 0x1234 } };

    #[test]
    fn a_copy_differs_in_its_stamp_and_is_right() {
        let template = Template::new(&syn()).unwrap();
        let copy = template.stamped(STAMP);
        copy.view(|packet| {
            let tcp = packet.tcp().unwrap();
            assert_eq!((tcp.sequence(), tcp.source_port()), (0xfedc_ba98, 5000));
            assert_eq!((packet.ip().ttl(), packet.ip().identification()), (3, Some(0x1234)));
            assert_eq!(tcp.window(), template.view(|sent| sent.tcp().unwrap().window()));
        });
        assert!(sum_is_right(copy.octets()));
        assert_eq!(checksum::of(&[&copy.octets()[..20]]), 0);
    }

    #[test]
    fn what_the_card_was_to_do_is_done() {
        let whole = syn();
        let right = Template::new(&whole).unwrap();
        let mut partial = whole.clone();
        let sum = right.partial_checksum(partial.len());
        partial[36..38].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(Template::new(&partial).unwrap(), right);
        let mut wrong = whole;
        wrong[36] ^= 0x55;
        assert_ne!(Template::new(&wrong).unwrap().checksum(), right.checksum(), "on purpose");
        let packet = forge::Packet::to([192, 0, 2, 1].into()).source([10, 0, 0, 2].into());
        let flags = TcpFlags::ACK.and(TcpFlags::PSH);
        let long = packet.tcp(80).source_port(4000).flags(flags).payload(&[7; 7_292]);
        let cut = Template::new(&long.bytes().unwrap()).unwrap();
        assert_eq!(cut.data_length(), MOST_DATA);
        assert!(sum_is_right(cut.octets()));
    }

    #[test]
    fn a_datagram_without_a_checksum_stays_without() {
        let packet = forge::Packet::to([192, 0, 2, 1].into()).source([10, 0, 0, 2].into());
        let mut query = packet.udp(53, &[9; 20]).source_port(4000).bytes().unwrap();
        let with = Template::new(&query).unwrap().stamped(STAMP);
        assert!(sum_is_right(with.octets()));
        assert_eq!(with.octets()[28..30], [0x12, 0x34], "its identifier");
        query[26..28].fill(0);
        assert_eq!(Template::new(&query).unwrap().stamped(STAMP).checksum(), 0);
    }

    #[test]
    fn each_copy_of_quic_has_a_connection_id_of_its_own() {
        let packet = forge::Packet::to([192, 0, 2, 1].into()).source([10, 0, 0, 2].into());
        let asked = quic::probe(quic::VERSION_1, &[7; 8], &[8; 8], 1200);
        let first = packet.udp(443, &asked).source_port(4000).bytes().unwrap();
        let template = Template::new(&first).unwrap();
        let copy = template.stamped(STAMP);
        assert!(sum_is_right(copy.octets()));
        let header = LongHeader::read(&copy.octets()[28..]).unwrap();
        assert_eq!(header.destination(), [0x12, 0x34, 0x13, 0x88, 7, 7, 7, 7]);
        assert_eq!((header.source(), copy.data_length()), (&[8; 8][..], 1200));
    }

    #[test]
    fn an_acknowledgment_is_of_what_was_received() {
        let packet = forge::Packet::to([192, 0, 2, 1].into()).source([10, 0, 0, 2].into());
        let segment = packet.clone().tcp(80).source_port(4000).flags(TcpFlags::ACK);
        let data = segment.option(8, &[0, 0, 0, 1, 0, 0, 0, 2]).payload(b"GET").bytes().unwrap();
        let data = Template::new(&data).unwrap();
        let syn = packet.tcp_syn(80).source_port(4000).option(8, &[0, 0, 3, 0, 0, 0, 0, 0]);
        let syn = Template::new(&syn.bytes().unwrap()).unwrap();
        let copy = data.acknowledging(77, Some(99), Some(&syn));
        for (copy, stamps) in [
            (&copy, [0, 0, 3, 0, 0, 0, 0, 99]),
            (&data.acknowledging(77, Some(99), None), [0, 0, 0, 1, 0, 0, 0, 99]),
            (&data.acknowledging(77, None, Some(&syn)), [0, 0, 0, 1, 0, 0, 0, 2]),
        ] {
            copy.view(|packet| {
                let tcp = packet.tcp().unwrap();
                assert_eq!(tcp.acknowledgment(), 77);
                assert_eq!(tcp.option(8).unwrap().data, stamps);
            });
        }
        assert!(sum_is_right(copy.octets()));
        let bare = copy.without_data();
        assert_eq!(bare.data_length(), 0);
        assert!(sum_is_right(bare.octets()));
    }
}
