//! QUIC's packets as far as they are readable without keys: what every version has in common
//! (RFC 8999), and the long headers of versions 1 and 2 (RFC 9000, section 17.2; RFC 9369, section 3.2).

/// QUIC version 1 (RFC 9000).
pub const VERSION_1: u32 = 0x0000_0001;
/// QUIC version 2 (RFC 9369).
pub const VERSION_2: u32 = 0x6b33_43cf;
/// A version that is reserved to force the negotiation of versions (RFC 9000, section 15).
pub const RESERVED_VERSION: u32 = 0x1a2a_3a4a;

/// The first octet's bit of a long header.
const LONG: u8 = 0x80;
/// The bit that versions 1 and 2 fix to 1, unless the other side takes any value (RFC 9287).
const FIXED: u8 = 0x40;
/// The bit of a short header that shows round trips (RFC 9000, section 17.4).
const SPIN: u8 = 0x20;
/// Where the two bits of a long packet's type are.
const TYPE_AT: u8 = 4;

/// Whether a version is one of those that nobody speaks, so that servers name theirs.
pub fn is_reserved(version: u32) -> bool {
    version & 0x0f0f_0f0f == 0x0a0a_0a0a
}

/// Whether a version is 1, 2 or a reserved one: by these, datagrams are known for QUIC.
pub fn is_known(version: u32) -> bool {
    matches!(version, VERSION_1 | VERSION_2) || is_reserved(version)
}

crate::variants! {
    /// What a packet with a long header is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum LongKind {
        /// The first flight: its keys follow from what everybody can read.
        Initial,
        /// Data before the handshake.
        ZeroRtt,
        /// The rest of the handshake.
        Handshake,
        /// A demand to ask again with a token.
        Retry,
    }
}

impl LongKind {
    /// By the two bits of the first octet; version 2 has them one further on.
    fn of(first: u8, version: u32) -> Option<LongKind> {
        let shift = match version {
            VERSION_1 => 0,
            VERSION_2 => 3,
            _ => return None,
        };
        Some(LongKind::ALL[usize::from(((first >> TYPE_AT) + shift) & 3)])
    }
}

/// The first octet of a packet with a long header, as the other of versions 1 and 2 has it for the
/// same kind.
pub fn first_octet_as(first: u8, version: u32) -> u8 {
    let shift = if version == VERSION_2 { 1 } else { 3 };
    let kind = ((first >> TYPE_AT) + shift) & 3;
    first & !(3 << TYPE_AT) | kind << TYPE_AT
}

/// A packet of QUIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuicPacket<'a> {
    /// With a long header, which names its version and both connection IDs.
    Long(LongHeader<'a>),
    /// With a short one, whose first octet is readable.
    Short(ShortHeader),
}

impl<'a> QuicPacket<'a> {
    /// Reads the packet that begins here; `None` where there is none.
    #[inline]
    pub fn read(octets: &'a [u8]) -> Option<QuicPacket<'a>> {
        let first = *octets.first()?;
        if first & LONG == 0 {
            return Some(QuicPacket::Short(ShortHeader(first)));
        }
        LongHeader::read(octets).map(QuicPacket::Long)
    }
}

/// The first octet of a packet with a short header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortHeader(u8);

impl ShortHeader {
    /// Whether it has the bit that versions 1 and 2 fix to 1.
    pub fn has_fixed_bit(self) -> bool {
        self.0 & FIXED != 0
    }

    /// The spin bit.
    pub fn spin(self) -> bool {
        self.0 & SPIN != 0
    }
}

/// A long header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongHeader<'a> {
    first: u8,
    version: u32,
    destination: &'a [u8],
    source: &'a [u8],
    /// What follows the connection IDs.
    rest: &'a [u8],
    /// Octets up to there.
    before: usize,
}

impl<'a> LongHeader<'a> {
    /// Reads the header that begins here (RFC 8999, section 5.1); `None` where it is another one, or not
    /// whole.
    #[inline]
    pub fn read(octets: &'a [u8]) -> Option<LongHeader<'a>> {
        let (&first, rest) = octets.split_first()?;
        if first & LONG == 0 {
            return None;
        }
        let (version, rest) = rest.split_first_chunk()?;
        let (destination, rest) = prefixed(rest)?;
        let (source, rest) = prefixed(rest)?;
        let before = octets.len() - rest.len();
        let version = u32::from_be_bytes(*version);
        Some(LongHeader { first, version, destination, source, rest, before })
    }

    /// Its version; 0 for the negotiation of versions.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The connection ID that its receiver chose.
    pub fn destination(&self) -> &'a [u8] {
        self.destination
    }

    /// The connection ID that its sender chose.
    pub fn source(&self) -> &'a [u8] {
        self.source
    }

    /// Whether it has the bit that versions 1 and 2 fix to 1.
    pub fn has_fixed_bit(&self) -> bool {
        self.first & FIXED != 0
    }

    /// What it is; `None` for the negotiation of versions, and for versions other than 1 and 2.
    pub fn kind(&self) -> Option<LongKind> {
        LongKind::of(self.first, self.version)
    }

    /// The versions that a server names in place of an answer (RFC 8999, section 6), in its order;
    /// `None` where it is no such packet, or its list is empty or cut.
    pub fn versions(&self) -> Option<impl ExactSizeIterator<Item = u32> + 'a> {
        let (versions, remainder) = self.rest.as_chunks();
        let is_list = self.version == 0 && !versions.is_empty() && remainder.is_empty();
        is_list.then(|| versions.iter().map(|version| u32::from_be_bytes(*version)))
    }

    /// Octets of the whole packet, header too, where it says so: one of version 1 or 2 but a Retry,
    /// which ends with its datagram. It may be more than there are.
    pub fn length(&self) -> Option<usize> {
        let kind = self.kind().filter(|kind| *kind != LongKind::Retry)?;
        let mut rest = self.rest;
        if kind == LongKind::Initial {
            let (token, after) = varint(rest)?;
            rest = after.get(usize::try_from(token).ok()?..)?;
        }
        let (length, after) = varint(rest)?;
        let header = self.before + self.rest.len() - after.len();
        header.checked_add(usize::try_from(length).ok()?)
    }
}

/// Octets with their length before them.
fn prefixed(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = octets.split_first()?;
    rest.split_at_checked(length.into())
}

/// A number of 1, 2, 4 or 8 octets (RFC 9000, section 16), and what follows it.
#[inline]
pub fn varint(octets: &[u8]) -> Option<(u64, &[u8])> {
    let first = *octets.first()?;
    let (number, rest) = octets.split_at_checked(1 << (first >> 6))?;
    let value = number.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
    Some((value & (u64::MAX >> (66 - 8 * number.len().min(8))), rest))
}

/// A datagram that asks for a version that nobody speaks, whereupon servers name theirs: a long header
/// with these connection IDs, and zeros up to this many octets. What follows the IDs has the shape of an
/// Initial, an empty token and a length, for some servers read that far before they look at the version.
/// A server need not answer a datagram of fewer than 1,200 octets.
pub fn probe(version: u32, destination: &[u8], source: &[u8], octets: usize) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(octets.max(64));
    datagram.push(LONG | FIXED);
    datagram.extend(version.to_be_bytes());
    for id in [destination, source] {
        let id = &id[..id.len().min(20)];
        datagram.push(id.len() as u8);
        datagram.extend(id);
    }
    let rest = octets.saturating_sub(datagram.len() + 1 + 4);
    if rest > 0 {
        datagram.push(0);
        // A number of four octets (RFC 9000, section 16).
        datagram.extend((rest as u32 & 0x3fff_ffff | 0x8000_0000).to_be_bytes());
        datagram.resize(octets, 0);
    }
    datagram
}

/// Whether a datagram is the answer to [`probe`]: it names versions, and has the connection IDs the
/// other way round.
pub fn negotiates(datagram: &[u8], asked: &[u8]) -> bool {
    let (Some(theirs), Some(ours)) = (LongHeader::read(datagram), LongHeader::read(asked)) else {
        return false;
    };
    theirs.versions().is_some()
        && theirs.destination() == ours.source()
        && theirs.source() == ours.destination()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of the server's Initial of RFC 9001, appendix A.3, protected.
    const SERVER_INITIAL: [u8; 20] = [
        0xcf, 0x00, 0x00, 0x00, 0x01, 0x00, 0x08, 0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5,
        0x00, 0x40, 0x75, 0xc0, 0xd9,
    ];
    /// The client's header of appendix A.2, protected, with the first octets that follow.
    const CLIENT_INITIAL: [u8; 22] = [
        0xc0, 0x00, 0x00, 0x00, 0x01, 0x08, 0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08, 0x00,
        0x00, 0x44, 0x9e, 0x7b, 0x9a, 0xec, 0x34,
    ];
    /// The Retry of appendix A.4.
    const RETRY: [u8; 36] = [
        0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x08, 0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5,
        0x74, 0x6f, 0x6b, 0x65, 0x6e, 0x04, 0xa2, 0x65, 0xba, 0x2e, 0xff, 0x4d, 0x82, 0x90, 0x58,
        0xfb, 0x3f, 0x0f, 0x24, 0x96, 0xba,
    ];
    const ID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

    #[test]
    fn the_packets_of_the_rfc_are_read() {
        let client = LongHeader::read(&CLIENT_INITIAL).unwrap();
        assert_eq!((client.version(), client.kind()), (VERSION_1, Some(LongKind::Initial)));
        assert_eq!((client.destination(), client.source()), (&ID[..], &[][..]));
        assert_eq!(client.length(), Some(18 + 0x49e), "the packet has 1,200 octets");
        let server = LongHeader::read(&SERVER_INITIAL).unwrap();
        assert_eq!((server.kind(), server.length()), (Some(LongKind::Initial), Some(18 + 0x75)));
        assert_eq!((server.destination().len(), server.source().len()), (0, 8));
        let retry = LongHeader::read(&RETRY).unwrap();
        assert_eq!((retry.kind(), retry.length()), (Some(LongKind::Retry), None));
        assert!(retry.has_fixed_bit() && retry.versions().is_none());
        let Some(QuicPacket::Short(short)) = QuicPacket::read(&[0x4c, 0xfe, 0x41, 0x89]) else {
            panic!("appendix A.5 has a short header");
        };
        assert!(short.has_fixed_bit() && !short.spin());
    }

    #[test]
    fn version_2_has_other_types() {
        for (first, kind) in [(0xc0, LongKind::Retry), (0xd0, LongKind::Initial)] {
            let mut octets = CLIENT_INITIAL;
            octets[0] = first;
            octets[1..5].copy_from_slice(&VERSION_2.to_be_bytes());
            assert_eq!(LongHeader::read(&octets).unwrap().kind(), Some(kind));
        }
        for first in [0xc3, 0xd0, 0xe1, 0xff] {
            let other = first_octet_as(first, VERSION_2);
            assert_eq!(LongKind::of(other, VERSION_2), LongKind::of(first, VERSION_1));
            assert_eq!(first_octet_as(other, VERSION_1), first);
        }
    }

    #[test]
    fn numbers_of_the_rfc_are_read() {
        // RFC 9000, appendix A.1.
        for (octets, number) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            assert_eq!(varint(octets), Some((number, &[][..])), "{octets:x?}");
            assert_eq!(varint(&octets[..octets.len() - 1]), None);
        }
    }

    #[test]
    fn a_probe_is_answered_by_versions_and_swapped_ids_alone() {
        let asked = probe(RESERVED_VERSION, &ID, &[7; 4], 1200);
        assert!(asked.len() == 1200 && is_reserved(RESERVED_VERSION) && !is_reserved(VERSION_2));
        let initial = probe(VERSION_1, &ID, &[7; 4], 1200);
        assert_eq!(LongHeader::read(&initial).unwrap().length(), Some(1200));
        let mut answer = probe(0, &[7; 4], &ID, 0);
        assert!(!negotiates(&answer, &asked), "an empty list");
        answer.extend([VERSION_1, VERSION_2].map(u32::to_be_bytes).concat());
        assert!(negotiates(&answer, &asked));
        let versions = LongHeader::read(&answer).unwrap().versions().unwrap();
        assert_eq!(versions.collect::<Vec<_>>(), [VERSION_1, VERSION_2]);
        assert!(!negotiates(&answer[..answer.len() - 1], &asked), "a cut list");
        assert!(!negotiates(&asked, &asked));
        let other = [probe(0, &[8; 4], &ID, 0), vec![0, 0, 0, 1]].concat();
        assert!(!negotiates(&other, &asked));
    }

    #[test]
    fn what_is_cut_is_nothing() {
        for whole in [&CLIENT_INITIAL[..], &SERVER_INITIAL, &RETRY] {
            let needed = LongHeader::read(whole).unwrap().before;
            for length in 0..needed {
                assert_eq!(LongHeader::read(&whole[..length]), None, "{length}");
            }
        }
        // A token that is longer than the datagram, and a length that does not fit a number.
        let mut token = CLIENT_INITIAL;
        token[15] = 0x3f;
        assert_eq!(LongHeader::read(&token).unwrap().length(), None);
        let long = [&CLIENT_INITIAL[..16], &[0xff; 8]].concat();
        let length = LongHeader::read(&long).unwrap().length();
        assert!(length.is_none_or(|length| length > long.len()));
        assert_eq!(QuicPacket::read(&[]), None);
    }
}
