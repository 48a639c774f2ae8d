//! Owns the look into a ClientHello (RFC 8446, section 4.1.2) that begins a segment's data.

/// The type of a record with a message of the handshake (section 5.1), and where the record's content begins.
const HANDSHAKE: u8 = 22;
const CONTENT: usize = 5;
/// The type of the message (section 4).
const CLIENT_HELLO: u8 = 1;
/// Octets before the session: the heads of record and message, version and random number.
const BEFORE_SESSION: usize = CONTENT + 4 + 2 + 32;
/// Octets of an extension's number, and of its length.
const NUMBER: usize = 2;

/// Whether it has an extension of this number, as far as the data show it.
pub(super) fn has_extension(data: &[u8], wanted: u16) -> Option<bool> {
    if data.first() != Some(&HANDSHAKE) || data.get(CONTENT) != Some(&CLIENT_HELLO) {
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
    let end = at + NUMBER + number(at, NUMBER)?;
    at += NUMBER;
    while at < end {
        if number(at, NUMBER)? == usize::from(wanted) {
            return Some(true);
        }
        at += 2 * NUMBER + number(at + NUMBER, NUMBER)?;
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
