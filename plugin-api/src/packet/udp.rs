//! Reader of the UDP header (RFC 768).

use super::be16;
use super::place::udp;

/// A UDP header.
#[derive(Debug, Clone, Copy)]
pub struct Udp<'a> {
    pub(super) bytes: &'a [u8],
}

impl Udp<'_> {
    /// The sender's port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        be16(self.bytes, udp::SOURCE_PORT)
    }

    /// The receiver's port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        be16(self.bytes, udp::DESTINATION_PORT)
    }

    /// The length field: octets of header and payload.
    #[inline]
    pub fn length(&self) -> u16 {
        be16(self.bytes, udp::LENGTH)
    }

    /// The checksum field; 0 means that the sender made none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        be16(self.bytes, udp::CHECKSUM)
    }
}
