//! TCP segments (RFC 9293, section 3.1).

use std::net::IpAddr;

use super::Packet;
use crate::error::{Error, Result};
use crate::packet::place::tcp;
use crate::packet::tcp_option::{
    self, END, HEADER, MSS_LENGTH, NOP, ROOM, SACK_PERMITTED, SACK_PERMITTED_LENGTH, TIMESTAMPS,
    TIMESTAMPS_LENGTH, WINDOW_SCALE, WINDOW_SCALE_LENGTH,
};
use crate::packet::{TcpFlags, protocol};

/// The MSS that a SYN to this target announces where nobody says another: packets of 1,500 octets less
/// the headers (RFC 6691, section 2).
pub fn ordinary_mss(target: IpAddr) -> u16 {
    if target.to_canonical().is_ipv4() { 1460 } else { 1440 }
}

/// The options of an ordinary SYN that announces this MSS, as Linux writes them: MSS, SACK, timestamps,
/// NOP, window scaling by 7.
pub fn ordinary_options(mss: u16) -> [u8; 20] {
    let [high, low] = mss.to_be_bytes();
    let mut options = [0; 20];
    options[..4].copy_from_slice(&[tcp_option::MSS, MSS_LENGTH, high, low]);
    options[4..6].copy_from_slice(&[SACK_PERMITTED, SACK_PERMITTED_LENGTH]);
    options[6..8].copy_from_slice(&[TIMESTAMPS, TIMESTAMPS_LENGTH]);
    options[8..12].copy_from_slice(&super::random().to_be_bytes());
    options[16..].copy_from_slice(&[NOP, WINDOW_SCALE, WINDOW_SCALE_LENGTH, 7]);
    options
}

/// A TCP segment to be built.
#[derive(Debug, Clone)]
pub struct Segment {
    packet: Packet,
    ports: (u16, u16),
    sequence: u32,
    acknowledgment: u32,
    flags: TcpFlags,
    window: u16,
    urgent: u16,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Segment {
    pub(super) fn new(packet: Packet, port: u16) -> Segment {
        Segment {
            packet,
            ports: (0, port),
            sequence: 0,
            acknowledgment: 0,
            flags: TcpFlags::NONE,
            window: 64_240,
            urgent: 0,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Sets the source port. Without it the host takes one that nobody else uses.
    pub fn source_port(mut self, port: u16) -> Segment {
        self.ports.0 = port;
        self
    }

    /// Sets the sequence number.
    pub fn sequence(mut self, number: u32) -> Segment {
        self.sequence = number;
        self
    }

    /// Sets the acknowledgment number; the flag ACK is set apart.
    pub fn acknowledgment(mut self, number: u32) -> Segment {
        self.acknowledgment = number;
        self
    }

    /// Sets the flags, all of them: also those in the upper half of the header's seventh word.
    pub fn flags(mut self, flags: TcpFlags) -> Segment {
        self.flags = flags;
        self
    }

    /// Sets the window; without it, 64,240.
    pub fn window(mut self, octets: u16) -> Segment {
        self.window = octets;
        self
    }

    /// Sets the urgent pointer; the flag URG, without which it does not count, is set apart.
    pub fn urgent(mut self, pointer: u16) -> Segment {
        self.urgent = pointer;
        self
    }

    /// Adds the option of the maximum segment size (RFC 9293, section 3.7.1).
    pub fn mss(self, octets: u16) -> Segment {
        self.option(tcp_option::MSS, &octets.to_be_bytes())
    }

    /// Adds an option of this kind and value; its length is filled in. Kinds 0 and 1 are single
    /// octets without one. Behind the last option the header is padded with zeros.
    pub fn option(mut self, kind: u8, value: &[u8]) -> Segment {
        self.options.push(kind);
        if kind > NOP {
            // Values too long for the header are refused when it is built.
            self.options.push(value.len().saturating_add(HEADER).min(usize::from(u8::MAX)) as u8);
            self.options.extend(value);
        }
        self
    }

    /// Sets all options, octet by octet. Behind them the header is padded with zeros.
    pub fn options(mut self, octets: &[u8]) -> Segment {
        self.options = octets.to_vec();
        self
    }

    /// Sets the data it carries.
    pub fn payload(mut self, payload: &[u8]) -> Segment {
        self.payload = payload.to_vec();
        self
    }

    /// The packet.
    ///
    /// # Errors
    ///
    /// Options or payload do not fit, or its addresses are of different versions.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let padded = self.options.len().next_multiple_of(4);
        if padded > ROOM {
            return Err(Error::new(format!("{padded} octets of TCP options; {ROOM} fit")));
        }
        let mut rest = Vec::with_capacity(tcp::HEADER + padded + self.payload.len());
        rest.extend(self.ports.0.to_be_bytes());
        rest.extend(self.ports.1.to_be_bytes());
        rest.extend(self.sequence.to_be_bytes());
        rest.extend(self.acknowledgment.to_be_bytes());
        let offset = u16::from(tcp::offset(padded)) << 8;
        // Also the three bits between length and flags, which have no meaning yet.
        let flags = self.flags.0 & 0x0fff;
        for word in [offset | flags, self.window, 0, self.urgent] {
            rest.extend(word.to_be_bytes());
        }
        rest.extend(&self.options);
        rest.resize(tcp::HEADER + padded, END);
        rest.extend(&self.payload);
        self.packet.transport(protocol::TCP, rest, tcp::CHECKSUM)
    }
}
