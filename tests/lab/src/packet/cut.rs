//! Owns the cutting of packets: into fragments of IP, and of TCP data into smaller segments.

use etherparse::IpNumber;

use super::field::{ipv4, ipv6};
use super::{Packet, flag};

/// The unit of places in a fragmented packet (RFC 791, section 3.1; RFC 8200, section 4.5).
const UNIT: usize = 8;

impl Packet {
    /// The packet in fragments that carry this many octets each, rounded down to units of eight. What is
    /// a fragment already, or fits into one, stays as it is.
    pub fn fragments(&self, size: usize) -> Vec<Packet> {
        let size = (size / UNIT).max(1) * UNIT;
        let body = &self.bytes[self.transport..];
        if self.fragmented || body.len() <= size {
            return vec![self.clone()];
        }
        let last = body.len().div_ceil(size) - 1;
        let pieces = body.chunks(size).enumerate();
        pieces.filter_map(|(n, data)| self.fragment(n * size / UNIT, data, n < last)).collect()
    }

    fn fragment(&self, place: usize, data: &[u8], more: bool) -> Option<Packet> {
        let mut bytes = self.bytes[..self.transport].to_vec();
        let (place, more) = (place as u16, u16::from(more));
        if self.is_ipv6() {
            // No extension headers stand before it, for the lab's hosts send none.
            let next = std::mem::replace(
                &mut bytes[ipv6::NEXT_HEADER],
                IpNumber::IPV6_FRAGMENTATION_HEADER.0,
            );
            bytes.extend([next, 0]);
            bytes.extend((place << ipv6::PLACE | more).to_be_bytes());
            bytes.extend([0, 0]);
            bytes.extend(self.identity().to_be_bytes());
        } else {
            bytes[ipv4::IDENTIFICATION].copy_from_slice(&self.identity().to_be_bytes());
            let reserved = self.word(ipv4::FLAGS) & ipv4::RESERVED;
            let flags = (reserved | more << ipv4::MORE | place).to_be_bytes();
            bytes[ipv4::FLAGS..][..flags.len()].copy_from_slice(&flags);
        }
        bytes.extend(data);
        let mut fragment = Packet::parse(bytes)?;
        fragment.set_ip_length();
        fragment.compute_header_checksum();
        Some(fragment)
    }

    /// A number that other packets of the same ends hardly have at the same time: hosts need not give
    /// one to packets that they do not fragment.
    fn identity(&self) -> u16 {
        let words = self.bytes[self.transport..].chunks(2);
        words.fold(1, |sum: u16, word| {
            let word = u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]);
            sum.rotate_left(1) ^ word
        })
    }

    /// The segment in several with this many octets of data each. What has no more stays as it is.
    pub fn segments(&self, size: usize) -> Vec<Packet> {
        let data = self.data();
        if !self.is_tcp() || self.fragmented || data.len() <= size.max(1) {
            return vec![self.clone()];
        }
        let last = data.len().div_ceil(size.max(1)) - 1;
        let pieces = data.chunks(size.max(1)).enumerate();
        let before = self.bytes.len() - data.len();
        let segment = |(number, data): (usize, &[u8])| {
            let bytes = [&self.bytes[..before], data].concat();
            let mut segment = Packet::parse(bytes)?;
            if number < last {
                let flags = segment.tcp_flags()? & !(flag::FIN | flag::PSH);
                segment.set_tcp_flags(flags);
            }
            segment.add_to_tcp_numbers((number * size.max(1)) as u32, 0);
            segment.fit_lengths();
            Some(segment)
        };
        pieces.filter_map(segment).collect()
    }
}
