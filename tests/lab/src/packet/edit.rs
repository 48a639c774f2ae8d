//! Owns the edits that keep a packet's length: header fields, addresses, ports. Each mends the
//! checksums that cover the field, unless they are to be left wrong.

use std::net::IpAddr;

use etherparse::IpNumber;

use super::field::{class, icmp, ipv4, ipv6, tcp, udp};
use super::{Packet, checksum, flag};

/// Which checksums cover a field.
#[derive(Clone, Copy)]
enum Covered {
    /// IPv4's own.
    Network,
    /// The transport's.
    Transport,
    /// Both: addresses, through the pseudo header.
    Both,
}

impl Packet {
    /// Says whether the edits that follow leave checksums as they are, wrong.
    pub fn leave_checksums(&mut self, leave: bool) {
        self.leave_checksums = leave;
    }

    /// Sets the time to live, or hop limit.
    pub fn set_ttl(&mut self, ttl: u8) {
        if self.is_ipv6() {
            self.bytes[ipv6::HOP_LIMIT] = ttl;
        } else {
            let word = u16::from_be_bytes([ttl, self.bytes[ipv4::PROTOCOL]]);
            self.put(ipv4::TTL, word, Covered::Network);
        }
    }

    /// Sets DSCP and ECN together.
    pub fn set_traffic_class(&mut self, class: u8) {
        if self.is_ipv6() {
            let (bits, left) = ipv6::CLASS;
            let word = (self.word(0) & !bits) | (u16::from(class) << left);
            self.bytes[..2].copy_from_slice(&word.to_be_bytes());
        } else {
            self.put(0, u16::from_be_bytes([self.bytes[0], class]), Covered::Network);
        }
    }

    /// Sets the code point; the ECN field stays.
    pub fn set_dscp(&mut self, dscp: u8) {
        self.set_traffic_class(dscp << class::DSCP_LEFT | self.ecn());
    }

    /// Clears the bits of the code point that were the type of service's precedence.
    pub fn bleach_precedence(&mut self) {
        self.set_dscp(self.dscp() & !class::PRECEDENCE);
    }

    /// Sets the ECN field; the code point stays.
    pub fn set_ecn(&mut self, ecn: u8) {
        self.set_traffic_class(self.dscp() << class::DSCP_LEFT | ecn & class::ECN);
    }

    /// Sets or clears the reserved flag of IPv4; IPv6 has none.
    pub fn set_evil(&mut self, evil: bool) {
        if !self.is_ipv6() && self.is_evil() != evil {
            self.put(ipv4::FLAGS, self.word(ipv4::FLAGS) ^ ipv4::RESERVED, Covered::Network);
        }
    }

    /// Sets the TCP flags; other packets stay as they are.
    pub fn set_tcp_flags(&mut self, flags: u16) {
        if self.is_tcp() {
            let at = self.transport + tcp::OFFSET;
            let others = self.word(at) & !flag::ALL;
            self.put(at, others | (flags & flag::ALL), Covered::Transport);
        }
    }

    /// Sets the urgent pointer of a TCP packet; other packets stay as they are.
    pub fn set_urgent_pointer(&mut self, pointer: u16) {
        if self.is_tcp() {
            self.put(self.transport + tcp::URGENT_POINTER, pointer, Covered::Transport);
        }
    }

    /// Adds to the sequence and the acknowledgement number of a TCP packet, modulo 2³².
    pub fn add_to_tcp_numbers(&mut self, sequence: u32, acknowledged: u32) {
        let Some((before, known)) = self.tcp_numbers() else {
            return;
        };
        let numbers = [
            (tcp::SEQUENCE, before.wrapping_add(sequence)),
            (tcp::ACKNOWLEDGMENT, known.wrapping_add(acknowledged)),
        ];
        for (at, number) in numbers {
            for (half, &word) in number.to_be_bytes().as_chunks::<2>().0.iter().enumerate() {
                let at = self.transport + at + 2 * half;
                self.put(at, u16::from_be_bytes(word), Covered::Transport);
            }
        }
    }

    /// Sets the source address, of the packet's own version, and the source port if there is one.
    pub fn set_source(&mut self, address: IpAddr, port: Option<u16>) {
        self.set_end(address, port, 0);
    }

    /// Sets the destination address and port.
    pub fn set_destination(&mut self, address: IpAddr, port: Option<u16>) {
        self.set_end(address, port, 1);
    }

    /// Sets the source address and port of the packet that an ICMP error quotes.
    pub fn set_quoted_source(&mut self, address: IpAddr, port: u16) {
        let (at, ports) = if self.is_ipv6() {
            (ipv6::SOURCE, ipv6::HEADER)
        } else {
            (ipv4::SOURCE, ipv4::HEADER)
        };
        let quoted = self.transport + icmp::HEADER;
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let places = [(quoted + at, octets), (quoted + ports, port.to_be_bytes().to_vec())];
        for (at, octets) in places {
            if let Some(place) = self.bytes.get_mut(at..at + octets.len()) {
                place.copy_from_slice(&octets);
            }
        }
        self.fit_lengths();
        if !self.is_ipv6() {
            self.fill_icmp_checksum();
        }
    }

    /// The source port of the packet that an ICMP error quotes.
    pub fn quoted_port(&self) -> Option<u16> {
        let header = if self.is_ipv6() { ipv6::HEADER } else { ipv4::HEADER };
        let at = self.transport + icmp::HEADER + header;
        let port = self.bytes.get(at..at + 2)?;
        Some(u16::from_be_bytes([port[0], port[1]]))
    }

    fn set_end(&mut self, address: IpAddr, port: Option<u16>, end: usize) {
        match address {
            IpAddr::V4(address) if !self.is_ipv6() => {
                self.put_words([ipv4::SOURCE, ipv4::DESTINATION][end], &address.octets())
            }
            IpAddr::V6(address) if self.is_ipv6() => {
                self.put_words([ipv6::SOURCE, ipv6::DESTINATION][end], &address.octets())
            }
            _ => return,
        }
        if let (Some(port), Some(_)) = (port, self.ports()) {
            let at = self.transport + [tcp::SOURCE, tcp::DESTINATION][end];
            self.put(at, port, Covered::Transport);
        }
    }

    fn put_words(&mut self, at: usize, bytes: &[u8]) {
        for (index, &word) in bytes.as_chunks::<2>().0.iter().enumerate() {
            self.put(at + 2 * index, u16::from_be_bytes(word), Covered::Both);
        }
    }

    /// Computes the UDP checksum anew, or with `zero` sets it to none.
    pub fn set_udp_checksum(&mut self, zero: bool) {
        if self.is_udp() {
            let at = self.transport + udp::CHECKSUM;
            self.bytes[at..at + 2].fill(0);
            if !zero {
                self.compute_transport_checksum();
            }
        }
    }

    /// Puts a word at an even place and mends what covers it.
    fn put(&mut self, at: usize, new: u16, covered: Covered) {
        let old = self.word(at);
        self.bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
        if self.leave_checksums {
            return;
        }
        if !self.is_ipv6() && matches!(covered, Covered::Network | Covered::Both) {
            self.mend(ipv4::CHECKSUM.start, old, new);
        }
        if matches!(covered, Covered::Transport | Covered::Both)
            && let Some(at) = self.transport_checksum()
        {
            let none = self.protocol == IpNumber::UDP && self.word(at) == 0;
            if !none {
                self.mend(at, old, new);
            }
        }
    }

    fn mend(&mut self, at: usize, old: u16, new: u16) {
        let mended = checksum::mended(self.word(at), old, new);
        self.bytes[at..at + 2].copy_from_slice(&mended.to_be_bytes());
    }

    /// Where the transport's checksum is. That of IPv4's ICMP covers no field that is edited here.
    fn transport_checksum(&self) -> Option<usize> {
        match self.protocol {
            _ if !self.whole => None,
            IpNumber::TCP => Some(self.transport + tcp::CHECKSUM),
            IpNumber::UDP => Some(self.transport + udp::CHECKSUM),
            IpNumber::IPV6_ICMP => Some(self.transport + icmp::CHECKSUM),
            _ => None,
        }
    }

    /// Computes the transport's checksum over the whole packet.
    pub(super) fn compute_transport_checksum(&mut self) {
        // A fragment's checksum covers what is not here.
        let Some(at) = self.transport_checksum().filter(|_| !self.fragmented) else {
            return;
        };
        self.bytes[at..at + 2].fill(0);
        let computed = checksum::finish(self.transport_sum());
        let udp_zero = self.protocol == IpNumber::UDP && computed == 0;
        let computed = if udp_zero { udp::ZERO } else { computed };
        self.bytes[at..at + 2].copy_from_slice(&computed.to_be_bytes());
    }

    /// Computes IPv4's header checksum.
    pub(super) fn compute_header_checksum(&mut self) {
        if !self.is_ipv6() {
            self.bytes[ipv4::CHECKSUM].fill(0);
            let length = ipv4::header_length(self.bytes[0]);
            let computed = checksum::finish(checksum::sum(&self.bytes[..length], 0));
            self.bytes[ipv4::CHECKSUM].copy_from_slice(&computed.to_be_bytes());
        }
    }

    fn transport_sum(&self) -> u32 {
        self.sum_to(self.data_end())
    }

    /// The sum of what the transport's checksum covers, were its data to end there.
    fn sum_to(&self, end: usize) -> u32 {
        let addresses = if self.is_ipv6() { ipv6::ADDRESSES } else { ipv4::ADDRESSES };
        let length = (end - self.transport) as u32;
        let pseudo = checksum::sum(&self.bytes[addresses], u32::from(self.protocol.0) + length);
        checksum::sum(&self.bytes[self.transport..end], pseudo)
    }

    /// Whether the UDP checksum is right over the whole IP payload, for boxes that take the IP payload's
    /// length for UDP's; `None` without a checksum.
    pub fn whole_checksum_is_right(&self) -> Option<bool> {
        let has_one = self.udp_checksum().is_some_and(|sum| sum != 0) && !self.fragmented;
        has_one.then(|| checksum::finish(self.sum_to(self.bytes.len())) == 0)
    }

    /// Takes off what follows a UDP datagram.
    pub fn strip_surplus(&mut self) {
        self.bytes.truncate(self.data_end());
        self.set_ip_length();
        if !self.leave_checksums {
            self.compute_header_checksum();
        }
    }

    /// Whether every checksum there is, is right.
    pub fn checksums_are_right(&self) -> bool {
        let header = self.is_ipv6() || {
            let length = ipv4::header_length(self.bytes[0]);
            checksum::finish(checksum::sum(&self.bytes[..length], 0)) == 0
        };
        let none = self.udp_checksum() == Some(0);
        // A fragment's checksum covers what is not here.
        let transport = none
            || self.fragmented
            || self.transport_checksum().is_none()
            || checksum::finish(self.transport_sum()) == 0;
        header && transport
    }

    /// Writes the length of the IP packet that follows from its size.
    pub(super) fn set_ip_length(&mut self) {
        let length = self.bytes.len();
        let (field, value) = if self.is_ipv6() {
            (ipv6::LENGTH, length - ipv6::HEADER)
        } else {
            (ipv4::LENGTH, length)
        };
        self.bytes[field].copy_from_slice(&(value as u16).to_be_bytes());
    }

    /// Writes the lengths that follow from the packet's size.
    pub(super) fn fit_lengths(&mut self) {
        self.set_ip_length();
        let length = self.bytes.len();
        if self.is_udp() {
            let length = (length - self.transport) as u16;
            self.bytes[self.transport..][udp::LENGTH].copy_from_slice(&length.to_be_bytes());
        }
        if !self.leave_checksums {
            self.compute_header_checksum();
            self.compute_transport_checksum();
        }
    }
}
