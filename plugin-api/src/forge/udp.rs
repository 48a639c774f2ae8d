//! UDP datagrams (RFC 768; in IPv6, RFC 8200, section 8.1).

use super::Packet;
use crate::error::{Error, Result};
use crate::packet::protocol;

/// A UDP datagram to be built.
#[derive(Debug, Clone)]
pub struct Datagram {
    packet: Packet,
    ports: (u16, u16),
    payload: Vec<u8>,
    zero: bool,
}

impl Datagram {
    pub(super) fn new(packet: Packet, port: u16, payload: &[u8]) -> Datagram {
        Datagram { packet, ports: (0, port), payload: payload.to_vec(), zero: false }
    }

    /// Sets the source port. Without it the host takes one that nobody else uses.
    pub fn source_port(mut self, port: u16) -> Datagram {
        self.ports.0 = port;
        self
    }

    /// Sends no checksum: the field is 0. In IPv4 that is every sender's choice; in IPv6 receivers
    /// are to discard it but where they expect it (RFC 6935, RFC 6936).
    pub fn checksum_zero(mut self) -> Datagram {
        self.zero = true;
        self
    }

    /// The packet.
    ///
    /// # Errors
    ///
    /// It is longer than a packet can be, or its addresses are of different versions.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let octets = 8 + self.payload.len();
        let length = u16::try_from(octets)
            .map_err(|_| Error::new(format!("{octets} octets do not fit into a datagram")))?;
        let mut rest = Vec::with_capacity(octets);
        for word in [self.ports.0, self.ports.1, length, 0] {
            rest.extend(word.to_be_bytes());
        }
        rest.extend(&self.payload);
        match self.zero {
            true => self.packet.raw(protocol::UDP, &rest),
            false => self.packet.transport(protocol::UDP, rest, 6),
        }
    }
}
