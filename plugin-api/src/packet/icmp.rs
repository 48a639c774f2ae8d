//! Reader of the ICMP headers (RFC 792, RFC 4443).

use super::be32;

/// An ICMP header of either version: the first eight bytes and what follows.
#[derive(Debug, Clone, Copy)]
pub struct Icmp<'a> {
    pub(super) header: &'a [u8],
    pub(super) body: &'a [u8],
}

impl<'a> Icmp<'a> {
    /// The message's type; its meaning depends on the version.
    #[inline]
    pub fn kind(&self) -> u8 {
        self.header[0]
    }

    /// The type's code.
    #[inline]
    pub fn code(&self) -> u8 {
        self.header[1]
    }

    /// Bytes 4 to 7: unused, an identifier, or the next hop's MTU, by type.
    #[inline]
    pub fn rest(&self) -> u32 {
        be32(self.header, 4)
    }

    /// What follows the first eight bytes: in an error, the start of the packet that caused it.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}
