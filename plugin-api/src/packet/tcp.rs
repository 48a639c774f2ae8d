//! Reader of the TCP header and its options (RFC 9293, section 3.1).

use std::fmt;
use std::ops::{BitAnd, BitOr};

use super::place::tcp;
use super::tcp_option::{END, HEADER, NOP};
use super::{be16, be32};

/// A TCP header with its options.
#[derive(Debug, Clone, Copy)]
pub struct Tcp<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// The sender's port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        be16(self.bytes, tcp::SOURCE_PORT)
    }

    /// The receiver's port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        be16(self.bytes, tcp::DESTINATION_PORT)
    }

    /// The sequence number. Compare with wrap-around, modulo 2³².
    #[inline]
    pub fn sequence(&self) -> u32 {
        be32(self.bytes, tcp::SEQUENCE)
    }

    /// The acknowledgment number; meaningful with the ACK flag only.
    #[inline]
    pub fn acknowledgment(&self) -> u32 {
        be32(self.bytes, tcp::ACKNOWLEDGMENT)
    }

    /// The flags, AE included.
    #[inline]
    pub fn flags(&self) -> TcpFlags {
        TcpFlags(be16(self.bytes, tcp::OFFSET) & tcp::FLAGS)
    }

    /// Whether all of these flags are set.
    #[inline]
    pub fn has(&self, flags: TcpFlags) -> bool {
        self.flags().has(flags)
    }

    /// The window field, not scaled.
    #[inline]
    pub fn window(&self) -> u16 {
        be16(self.bytes, tcp::WINDOW)
    }

    /// The checksum field.
    #[inline]
    pub fn checksum(&self) -> u16 {
        be16(self.bytes, tcp::CHECKSUM)
    }

    /// The urgent pointer.
    #[inline]
    pub fn urgent(&self) -> u16 {
        be16(self.bytes, tcp::URGENT)
    }

    /// The options, in their order on the wire, malformed ones skipped as [`TcpOptions`] says.
    #[inline]
    pub fn options(&self) -> TcpOptions<'a> {
        TcpOptions { rest: &self.bytes[tcp::HEADER..] }
    }

    /// The first option of this kind.
    #[inline]
    pub fn option(&self, kind: u8) -> Option<TcpOption<'a>> {
        self.options().find(|option| option.kind == kind)
    }
}

/// A set of TCP flags: the low eight bits as on the wire, and AE (RFC 9768) above them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFlags(pub u16);

impl TcpFlags {
    /// No flag.
    pub const NONE: TcpFlags = TcpFlags(0);
    /// The sender has finished.
    pub const FIN: TcpFlags = TcpFlags(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: TcpFlags = TcpFlags(0x02);
    /// Reset the connection.
    pub const RST: TcpFlags = TcpFlags(0x04);
    /// Push.
    pub const PSH: TcpFlags = TcpFlags(0x08);
    /// The acknowledgment number counts.
    pub const ACK: TcpFlags = TcpFlags(0x10);
    /// The urgent pointer counts.
    pub const URG: TcpFlags = TcpFlags(0x20);
    /// ECN-Echo (RFC 3168).
    pub const ECE: TcpFlags = TcpFlags(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: TcpFlags = TcpFlags(0x80);
    /// Accurate ECN (RFC 9768), once the nonce sum.
    pub const AE: TcpFlags = TcpFlags(0x100);

    /// What a SYN has that asks for ECN (both of RFC 3168's) or for AccECN (all three). An ordinary
    /// SYN has none of them.
    pub const ASK_FOR_ECN: TcpFlags = TcpFlags::AE.and(TcpFlags::CWR).and(TcpFlags::ECE);

    /// The union of two sets.
    pub const fn and(self, other: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 | other.0)
    }

    /// Whether all of `flags` are in the set.
    pub const fn has(self, flags: TcpFlags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// AE, CWR and ECE as a number: the ACE field, once a connection has Accurate ECN (RFC 9768,
    /// section 3.2.2).
    pub const fn ace(self) -> u8 {
        (self.0 >> tcp::ACE) as u8 & 0b111
    }

    /// The eight flags of the flag byte.
    pub const fn byte(self) -> u8 {
        self.0 as u8
    }
}

impl BitOr for TcpFlags {
    type Output = TcpFlags;
    fn bitor(self, other: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 | other.0)
    }
}

impl From<TcpFlags> for crate::Value {
    #[inline]
    fn from(flags: TcpFlags) -> crate::Value {
        flags.0.into()
    }
}

impl BitAnd for TcpFlags {
    type Output = TcpFlags;
    fn bitand(self, other: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 & other.0)
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];
        let set: Vec<&str> = (0..9).filter(|i| self.0 >> i & 1 == 1).map(|i| names[i]).collect();
        f.write_str(&set.join("|"))
    }
}

/// One TCP option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpOption<'a> {
    /// Its kind, an IANA number; never 0 or 1.
    pub kind: u8,
    /// Its length field as found on the wire: octets of the whole option.
    pub length: u8,
    /// What follows the length: `length - 2` octets, fewer where the header ends before.
    pub data: &'a [u8],
}

/// Walks the options of a TCP header: no-operations are skipped, the end-of-list option ends it.
///
/// It never fails. An option with a length below 2 ends the walk, for nothing after it can be
/// told apart; one that reaches beyond the header is given with the data that there is, and is
/// the last.
#[derive(Debug, Clone)]
pub struct TcpOptions<'a> {
    rest: &'a [u8],
}

impl<'a> TcpOptions<'a> {
    /// Walks options that stand alone, without a header before them.
    pub fn new(bytes: &'a [u8]) -> TcpOptions<'a> {
        TcpOptions { rest: bytes }
    }
}

impl<'a> Iterator for TcpOptions<'a> {
    type Item = TcpOption<'a>;

    fn next(&mut self) -> Option<TcpOption<'a>> {
        while let [NOP, rest @ ..] = self.rest {
            self.rest = rest;
        }
        match *self.rest {
            [] | [END, ..] | [_] | [_, 0 | 1, ..] => {
                self.rest = &[];
                None
            }
            [kind, length, ..] => {
                let end = usize::from(length).min(self.rest.len());
                let option = TcpOption { kind, length, data: &self.rest[HEADER..end] };
                self.rest = &self.rest[end..];
                Some(option)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(bytes: &[u8]) -> Vec<(u8, u8, usize)> {
        TcpOptions::new(bytes).map(|o| (o.kind, o.length, o.data.len())).collect()
    }

    #[test]
    fn walks_padding_repeats_and_end() {
        assert_eq!(
            kinds(&[1, 1, 2, 4, 5, 180, 3, 3, 7, 2, 4, 0, 1, 0, 9, 9]),
            [(2, 4, 2), (3, 3, 1), (2, 4, 2)]
        );
    }

    #[test]
    fn malformed_lengths_end_the_walk() {
        assert_eq!(kinds(&[2, 0, 3, 3, 7]), []);
        assert_eq!(kinds(&[2, 1, 3, 3, 7]), []);
        assert_eq!(kinds(&[4, 2, 2]), [(4, 2, 0)]);
        assert_eq!(kinds(&[8, 10, 1, 2]), [(8, 10, 2)]);
    }
}
