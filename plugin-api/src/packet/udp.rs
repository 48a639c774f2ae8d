//! Reader of the UDP header (RFC 768).

use super::be16;

/// A UDP header.
#[derive(Debug, Clone, Copy)]
pub struct Udp<'a> {
    pub(super) bytes: &'a [u8],
}

impl Udp<'_> {
    /// The sender's port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        be16(self.bytes, 0)
    }

    /// The receiver's port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        be16(self.bytes, 2)
    }

    /// The length field: octets of header and payload.
    #[inline]
    pub fn length(&self) -> u16 {
        be16(self.bytes, 4)
    }

    /// The checksum field; 0 means that the sender made none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        be16(self.bytes, 6)
    }
}
