//! Owns the Internet checksum (RFC 1071) and its mending after an edit (RFC 1624).

/// The sum, not yet complemented, of `bytes` taken as 16-bit words onto `initial`.
pub(super) fn sum(bytes: &[u8], initial: u32) -> u32 {
    let (words, last) = bytes.as_chunks::<2>();
    let total: u32 = words.iter().map(|&word| u32::from(u16::from_be_bytes(word))).sum();
    let last = last.first().map_or(0, |&byte| u32::from(byte) << 8);
    initial + total + last
}

/// The checksum that goes into a header.
pub(super) fn finish(sum: u32) -> u16 {
    let mut folded = sum;
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    !(folded as u16)
}

/// What `checksum` becomes when a word it covers changes; a wrong one stays as wrong as it was.
pub(super) fn mended(checksum: u16, old: u16, new: u16) -> u16 {
    finish(u32::from(!checksum) + u32::from(!old) + u32::from(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_1071_example() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(finish(sum(&bytes, 0)), !0xddf2);
    }

    #[test]
    fn rfc_1624_example() {
        assert_eq!(mended(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn an_odd_byte_counts_as_high() {
        assert_eq!(sum(&[0x12], 0), 0x1200);
    }
}
