//! Packets for the tests of chains, from hexadecimal digits, from a builder or from a capture file,
//! and what a chain says of the flow that they are.

use std::path::Path;

use etherparse::{LaxSlicedPacket, NetSlice, SlicedPacket, TransportSlice};

use crate::abi::{ChainHandle, ChainSet};
use crate::packet::{Direction, Layers, Packet, Parts};
use crate::{Error, FlowRecord, Record, Result};

/// A packet's octets from hexadecimal digits; spaces and line ends do not count.
///
/// # Panics
///
/// There is something else in it.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<char> = digits.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(digits.len() % 2 == 0, "an odd number of digits");
    let octet = |pair: &[char]| {
        let text: String = pair.iter().collect();
        u8::from_str_radix(&text, 16).unwrap_or_else(|_| panic!("{text:?} is no octet"))
    };
    digits.chunks(2).map(octet).collect()
}

/// The IP packets of a capture file in the classic format, of Ethernet or raw IP.
///
/// # Errors
///
/// The file cannot be read, or is another one.
pub fn capture(path: impl AsRef<Path>) -> Result<Vec<Vec<u8>>> {
    const ETHERNET: u32 = 1;
    const RAW: u32 = 101;
    let file = std::fs::read(path)?;
    let word = |at: usize| -> Option<[u8; 4]> { file.get(at..at + 4)?.try_into().ok() };
    let number: fn([u8; 4]) -> u32 = match word(0) {
        Some([0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1]) => u32::from_le_bytes,
        Some([0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d]) => u32::from_be_bytes,
        _ => return Err(Error::new("no capture file in the classic format")),
    };
    let link = word(20).map(number);
    let skipped = match link {
        Some(ETHERNET) => 14,
        Some(RAW) => 0,
        _ => return Err(Error::new(format_args!("link type {link:?} is neither 1 nor 101"))),
    };
    let (mut packets, mut at) = (Vec::new(), 24);
    while let Some(length) = word(at + 8).map(number) {
        let frame = file.get(at + 16..at + 16 + length as usize);
        let frame = frame.ok_or_else(|| Error::new("the capture file is cut off"))?;
        packets.extend(frame.get(skipped..).map(<[u8]>::to_vec));
        at += 16 + length as usize;
    }
    Ok(packets)
}

/// What a chain says of one flow, whose first packet's sender is its originator. Packets are a
/// millisecond apart.
///
/// This slices packets by itself, more simply than the host's observer: fragments and ICMP errors
/// are not joined to the flow that they belong to.
///
/// # Errors
///
/// The chain fails, or there is no packet.
///
/// # Panics
///
/// A packet is malformed.
pub fn observe(chain: ChainHandle, packets: &[Vec<u8>]) -> Result<FlowRecord> {
    let set = ChainSet::new(&[chain])?;
    let sliced: Vec<Sliced<'_>> = packets.iter().map(|packet| Sliced::of(packet)).collect();
    let first = sliced.first().ok_or_else(|| Error::new("a flow has at least one packet"))?;
    let shown: Vec<Packet<'_>> = sliced
        .iter()
        .enumerate()
        .map(|(index, packet)| packet.shown(index, packet.source == first.source))
        .collect();
    let mut flow = set.new_flow(&shown[0]);
    for packet in &shown {
        set.packet(&mut flow, packet);
    }
    let mut record = Record::new();
    set.finish(flow, &mut record)?;
    Ok(record)
}

struct Sliced<'a> {
    source: Vec<u8>,
    ip: &'a [u8],
    transport: &'a [u8],
    payload: &'a [u8],
    length: u32,
    layers: Layers,
    protocol: u8,
}

impl<'a> Sliced<'a> {
    fn of(packet: &'a [u8]) -> Sliced<'a> {
        let sliced = match SlicedPacket::from_ip(packet) {
            Ok(sliced) => sliced,
            Err(error) => {
                panic!("a malformed packet: {error}; {:?}", LaxSlicedPacket::from_ip(packet))
            }
        };
        let (source, version, protocol, ip_payload) = match &sliced.net {
            Some(NetSlice::Ipv4(ip)) => {
                let payload = ip.payload();
                let source = ip.header().source().to_vec();
                (source, Layers::IP4, payload.ip_number.0, payload.payload)
            }
            Some(NetSlice::Ipv6(ip)) => {
                let payload = ip.payload();
                let source = ip.header().source().to_vec();
                (source, Layers::IP6, payload.ip_number.0, payload.payload)
            }
            _ => panic!("a packet without an IP header"),
        };
        let before = packet.len() - ip_payload.len();
        let (layer, header) = match &sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => (Layers::TCP, tcp.header_slice().len()),
            Some(TransportSlice::Udp(_)) => (Layers::UDP, 8),
            Some(TransportSlice::Icmpv4(_)) => (Layers::ICMP4, 8),
            Some(TransportSlice::Icmpv6(_)) => (Layers::ICMP6, 8),
            _ => (Layers::L4, 0),
        };
        let header = header.min(ip_payload.len());
        Sliced {
            source,
            ip: &packet[..before],
            transport: &ip_payload[..header],
            payload: &ip_payload[header..],
            length: packet.len() as u32,
            layers: version.and(layer),
            protocol,
        }
    }

    fn shown(&self, index: usize, forward: bool) -> Packet<'a> {
        Packet::new(Parts {
            time_ns: 1_700_000_000_000_000_000 + index as i64 * 1_000_000,
            ip: self.ip,
            transport: self.transport,
            payload: self.payload,
            ip_length: self.length,
            payload_length: self.payload.len() as u32,
            layers: self.layers,
            direction: if forward { Direction::Forward } else { Direction::Reverse },
            protocol: self.protocol,
        })
    }
}
