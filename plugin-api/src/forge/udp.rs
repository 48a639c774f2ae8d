//! UDP datagrams (RFC 768; in IPv6, RFC 8200, section 8.1).

use super::{Packet, checksum};
use crate::error::{Error, Result};
use crate::packet::place::udp;
use crate::packet::protocol;

/// A UDP datagram to be built.
#[derive(Debug, Clone)]
pub struct Datagram {
    packet: Packet,
    ports: (u16, u16),
    payload: Vec<u8>,
    surplus: Vec<u8>,
    zero: bool,
}

impl Datagram {
    pub(super) fn new(packet: Packet, port: u16, payload: &[u8]) -> Datagram {
        Datagram {
            packet,
            ports: (0, port),
            payload: payload.to_vec(),
            surplus: Vec::new(),
            zero: false,
        }
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

    /// Adds octets behind the datagram, in the same IP packet: UDP's length does not count them, and its
    /// checksum does not cover them. That is where UDP options stand (RFC 9868, section 7); see
    /// [`udp_options`].
    pub fn surplus(mut self, octets: &[u8]) -> Datagram {
        self.surplus = octets.to_vec();
        self
    }

    /// The packet.
    ///
    /// # Errors
    ///
    /// It is longer than a packet can be, or its addresses are of different versions.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let octets = udp::HEADER + self.payload.len();
        let length = u16::try_from(octets)
            .map_err(|_| Error::new(format!("{octets} octets do not fit into a datagram")))?;
        let mut rest = Vec::with_capacity(octets);
        for word in [self.ports.0, self.ports.1, length, 0] {
            rest.extend(word.to_be_bytes());
        }
        rest.extend(&self.payload);
        if !self.zero {
            self.packet.fill_checksum(protocol::UDP, &mut rest, udp::CHECKSUM);
        }
        rest.extend(&self.surplus);
        self.packet.raw(protocol::UDP, &rest)
    }
}

/// UDP options with the checksum that they begin with (RFC 9868, sections 8 and 9), as the surplus of a
/// datagram with this many octets of data. They also make the checksum over the whole IP payload right, for
/// receivers that take the IP payload's length for UDP's.
pub fn udp_options(data: usize, options: &[u8]) -> Vec<u8> {
    let padding = data % 2;
    let mut surplus = vec![0; padding + 2];
    surplus.extend(options);
    let length = surplus.len() as u16;
    let sum = match checksum::of(&[&length.to_be_bytes(), &surplus[padding..]]) {
        0 => u16::MAX,
        sum => sum,
    };
    surplus[padding..padding + 2].copy_from_slice(&sum.to_be_bytes());
    surplus
}

/// Whether the surplus of a datagram with this many octets of data begins with the checksum of its
/// options, and that is right.
pub fn is_udp_options(data: usize, surplus: &[u8]) -> bool {
    let Some(options) = surplus.get(data % 2..).filter(|options| options.len() >= 2) else {
        return false;
    };
    let is_padded = surplus[..data % 2].iter().all(|&octet| octet == 0);
    // Only the last of the parts may be of odd number.
    let length = (surplus.len() as u16).to_be_bytes();
    is_padded && options[..2] != [0, 0] && checksum::of(&[&length, options]) == 0
}
