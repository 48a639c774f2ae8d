//! Owns the look into a ClientHello (RFC 8446, section 4.1.2) that begins a segment's data.

/// Octets before the session in a record with a ClientHello: the heads of record and message, version and
/// random number.
const BEFORE_SESSION: usize = 5 + 4 + 34;

/// Whether it has an extension of this number, as far as the data show it.
pub(super) fn has_extension(data: &[u8], wanted: u16) -> Option<bool> {
    if data.first() != Some(&22) || data.get(5) != Some(&1) {
        return Some(false);
    }
    let number = |at: usize, octets: usize| {
        let octets = data.get(at..at + octets)?;
        Some(octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet)))
    };
    let mut at = BEFORE_SESSION;
    // Session, cipher suites and compression methods, each behind its length.
    for octets in [1, 2, 1] {
        at += octets + number(at, octets)?;
    }
    let end = at + 2 + number(at, 2)?;
    at += 2;
    while at < end {
        if number(at, 2)? == usize::from(wanted) {
            return Some(true);
        }
        at += 4 + number(at + 2, 2)?;
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_found_in_whatever_is_there() {
        let head =
            [&[22, 3, 1, 0, 60, 1, 0, 0, 56][..], &[7; 34], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
        let hello = [&head[..], &[0, 9, 0, 23, 0, 0, 0xfe, 0x0d, 0, 1, 5]].concat();
        assert_eq!(has_extension(&hello, 0xfe0d), Some(true));
        assert_eq!(has_extension(&hello, 16), Some(false));
        assert_eq!(has_extension(&hello[..hello.len() - 4], 0xfe0d), None);
        assert_eq!(has_extension(b"GET / HTTP/1.1", 23), Some(false));
        for length in 0..hello.len() {
            let _ = has_extension(&hello[..length], 23);
        }
    }
}
