//! The Internet checksum (RFC 1071), and mending it by the difference (RFC 1624).

use crate::packet::place::ipv4;
use crate::packet::protocol;

/// The checksum of these parts one after the other. Only the last may have an odd number of octets.
pub fn of(parts: &[&[u8]]) -> u16 {
    !fold(parts.iter().map(|part| sum(part)).sum())
}

/// Puts the checksum of an IPv4 header right (RFC 791, section 3.1).
pub(crate) fn fill_ipv4(header: &mut [u8]) {
    let field = ipv4::CHECKSUM..ipv4::CHECKSUM + 2;
    header[field.clone()].fill(0);
    let sum = of(&[header]);
    header[field].copy_from_slice(&sum.to_be_bytes());
}

/// The checksum of a transport header and its data, whose own checksum is zero: it covers both
/// addresses, the protocol and the length too (RFC 9293, section 3.1; RFC 8200, section 8.1).
pub(crate) fn of_transport(addresses: &[u8], number: u8, parts: &[&[u8]]) -> u16 {
    let length = parts.iter().map(|part| part.len()).sum::<usize>() as u32;
    let [number_octets, length] = [u32::from(number), length].map(u32::to_be_bytes);
    let covered = [addresses, &number_octets, &length].into_iter().chain(parts.iter().copied());
    match !fold(covered.map(sum).sum()) {
        // 0 says that there is none (RFC 768).
        0 if number == protocol::UDP => u16::MAX,
        sum => sum,
    }
}

/// A checksum after `old` became `new` in what it covers; both are of the same, even number of
/// octets. A wrong checksum stays wrong.
///
/// A result of 0 is 0 here, which in UDP would say that there is none: see [`mended_udp`].
pub fn mended(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    // RFC 1624, section 3, equation 3: HC' = ~(~HC + ~m + m').
    let without: u32 = old.chunks_exact(2).map(|word| u32::from(!be16(word))).sum();
    !fold(u32::from(!checksum) + without + sum(new))
}

/// As [`mended`], for UDP: none stays none, and 0 is written as its equal (RFC 768).
pub fn mended_udp(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    match checksum {
        0 => 0,
        checksum => match mended(checksum, old, new) {
            0 => u16::MAX,
            mended => mended,
        },
    }
}

/// The sum of words; a last odd octet is the upper half of one. Packets are too short to overflow.
fn sum(octets: &[u8]) -> u32 {
    let words = octets.chunks_exact(2);
    let odd = words.remainder().first().map_or(0, |&last| u32::from(last) << 8);
    words.map(|word| u32::from(be16(word))).sum::<u32>() + odd
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn be16(word: &[u8]) -> u16 {
    u16::from_be_bytes([word[0], word[1]])
}
