//! What either side of a TLS connection says first (RFC 8446, section 4.1), as far as its octets are there.
//!
//! It takes nothing for granted: what is cut off, by the end of a segment or of the capture, is not known.

/// The content types of records that begin a connection (section 5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// The types of messages that begin a handshake (section 4).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// Octets of a version and a random number.
const RANDOM: usize = 34;

/// What one side says first.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum First<'a> {
    /// Too few octets are there to know.
    Cut,
    /// A ClientHello with these extensions.
    ClientHello(Extensions<'a>),
    /// A ServerHello with these extensions, or a HelloRetryRequest, which has its form.
    ServerHello(Extensions<'a>),
    /// An alert of this number (section 6).
    Alert(u8),
    /// Something else.
    Other,
}

impl First<'_> {
    /// Reads the first octets that a side sent.
    pub fn read(data: &[u8]) -> First<'_> {
        match data {
            [] => First::Cut,
            [ALERT, ..] => alert(Reader::new(data)).unwrap_or(First::Cut),
            [HANDSHAKE, _, _, _, _, CLIENT_HELLO | SERVER_HELLO, ..] => {
                hello(Reader::new(data)).unwrap_or(First::Cut)
            }
            [HANDSHAKE, _, _, _, _, _, ..] => First::Other,
            [HANDSHAKE, ..] => First::Cut,
            _ => First::Other,
        }
    }
}

/// Reads an alert. One that is sealed is longer.
fn alert(mut record: Reader<'_>) -> Option<First<'_>> {
    record.take(3)?;
    if record.number(2)? != 2 {
        return Some(First::Other);
    }
    record.take(1)?;
    Some(First::Alert(record.take(1)?[0]))
}

/// Reads a message up to its extensions.
fn hello(mut record: Reader<'_>) -> Option<First<'_>> {
    // Type and version of the record.
    record.take(3)?;
    let mut message = record.block(2)?;
    let is_client = message.take(1)? == [CLIENT_HELLO];
    let mut hello = message.block(3)?;
    hello.take(RANDOM)?;
    if is_client {
        // Session, cipher suites and compression methods.
        for size in [1, 2, 1] {
            hello.block(size)?;
        }
    } else {
        // Session, and the suite and the compression method that were chosen.
        hello.block(1)?;
        hello.take(3)?;
    }
    let extensions = if hello.is_empty()? { hello } else { hello.block(2)? };
    let extensions = Extensions(extensions);
    Some(if is_client { First::ClientHello(extensions) } else { First::ServerHello(extensions) })
}

/// The extensions of a message (section 4.2), as far as they are there.
#[derive(Debug, Clone, Copy)]
pub struct Extensions<'a>(Reader<'a>);

impl<'a> Extensions<'a> {
    /// Looks for one by its number: `Some(None)` where there is none; `None` where what would say so is
    /// cut off.
    pub fn find(&self, wanted: u16) -> Option<Option<Reader<'a>>> {
        let mut rest = self.0;
        while !rest.is_empty()? {
            let number = rest.number(2)?;
            let content = rest.block(2)?;
            if number == usize::from(wanted) {
                return Some(Some(content));
            }
        }
        Some(None)
    }
}

/// What is left to read. It may be cut: what lies beyond reads as `None`.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    is_cut: bool,
}

impl<'a> Reader<'a> {
    /// For octets, if it is not known whether more of them follow.
    pub fn new(rest: &'a [u8]) -> Reader<'a> {
        Reader { rest, is_cut: false }
    }

    /// The next octets, this many.
    pub fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(octets)?;
        self.rest = rest;
        Some(taken)
    }

    /// A number of this many octets.
    pub fn number(&mut self, octets: usize) -> Option<usize> {
        Some(self.take(octets)?.iter().fold(0, |number, &octet| number << 8 | usize::from(octet)))
    }

    /// A block with its length, a number of this many octets, before it: as much of it as is there.
    pub fn block(&mut self, octets: usize) -> Option<Reader<'a>> {
        let length = self.number(octets)?;
        let there = length.min(self.rest.len());
        Some(Reader { rest: self.take(there)?, is_cut: there < length })
    }

    /// Whether all was read; `None` where nobody knows what would follow.
    pub fn is_empty(&self) -> Option<bool> {
        if self.rest.is_empty() && self.is_cut { None } else { Some(self.rest.is_empty()) }
    }

    /// All that is left, where all of it is there.
    pub fn whole(&self) -> Option<&'a [u8]> {
        (!self.is_cut).then_some(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with its length before it.
    fn block(size: usize, octets: &[u8]) -> Vec<u8> {
        let length = (octets.len() as u32).to_be_bytes();
        [&length[4 - size..], octets].concat()
    }

    /// A message of this type in a record, with these extensions.
    fn message(kind: u8, extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let one = |(number, content): &(u16, &[u8])| {
            [number.to_be_bytes().to_vec(), block(2, content)].concat()
        };
        let extensions: Vec<u8> = extensions.iter().flat_map(one).collect();
        let chosen = match kind {
            CLIENT_HELLO => [block(2, &[0x13, 1]), block(1, &[0])].concat(),
            _ => vec![0x13, 1, 0],
        };
        let hello = [vec![7; RANDOM], block(1, &[1; 32]), chosen, block(2, &extensions)].concat();
        let message = [vec![kind], block(3, &hello)].concat();
        [vec![HANDSHAKE, 3, 1], block(2, &message)].concat()
    }

    fn found(data: &[u8], number: u16) -> Option<Option<Vec<u8>>> {
        match First::read(data) {
            First::ClientHello(extensions) | First::ServerHello(extensions) => {
                let found = extensions.find(number)?;
                Some(found.map(|content| content.rest.to_vec()))
            }
            _ => None,
        }
    }

    #[test]
    fn extensions_are_found_by_their_numbers() {
        let extensions: [(u16, &[u8]); 3] = [(23, &[]), (43, &[3, 4]), (0xfe0d, &[1, 2, 3])];
        for kind in [CLIENT_HELLO, SERVER_HELLO] {
            let data = message(kind, &extensions);
            assert_eq!(found(&data, 43), Some(Some(vec![3, 4])));
            assert_eq!(found(&data, 23), Some(Some(vec![])));
            assert_eq!(found(&data, 16), Some(None));
            // The last one is known as soon as its number and its length are there.
            let cut = &data[..data.len() - 3];
            assert_eq!(found(cut, 0xfe0d), Some(Some(vec![])));
            assert_eq!(found(cut, 16), None);
            assert_eq!(found(&data[..data.len() - 5], 0xfe0d), None);
        }
        assert_eq!(found(&message(CLIENT_HELLO, &[]), 43), Some(None));
    }

    #[test]
    fn alerts_that_are_not_sealed_have_a_number() {
        let alert = |data: &[u8]| match First::read(data) {
            First::Alert(number) => Some(number),
            _ => None,
        };
        assert_eq!(alert(&[21, 3, 3, 0, 2, 2, 112]), Some(112));
        assert_eq!(alert(&[21, 3, 3, 0, 2, 2]), None);
        assert_eq!(alert(&[21, 3, 3, 0, 26, 2, 112]), None);
    }

    #[test]
    fn whatever_is_cut_or_damaged_is_read_without_harm() {
        let whole = message(CLIENT_HELLO, &[(16, &[0, 3, 2, 104, 50])]);
        for length in 0..whole.len() {
            let is_cut = matches!(First::read(&whole[..length]), First::Cut);
            assert!(is_cut || found(&whole[..length], 43).is_none(), "{length}");
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[length] = value;
                let _ = found(&damaged, 16);
            }
        }
        assert!(matches!(First::read(b"HTTP/1.1 200 OK"), First::Other));
        assert!(matches!(First::read(&[22, 3, 3, 0, 40, 11]), First::Other));
    }
}
