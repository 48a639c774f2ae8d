//! Packets for the tests of chains, from hexadecimal digits, from a builder or from a capture file,
//! and what a chain says of the flow that they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use etherparse::{IpNumber, LaxNetSlice, LaxSlicedPacket, TransportSlice};

use crate::abi::{ChainHandle, ChainSet};
use crate::packet::{Direction, Layers, Packet, Parts};
use crate::{Connect, ConnectKind, Error, FlowRecord, Job, Opening, Result, Settings};

/// Protocols whose header a packet must have.
const HEADED: [IpNumber; 4] = [IpNumber::TCP, IpNumber::UDP, IpNumber::ICMP, IpNumber::IPV6_ICMP];

/// A packet's octets from hexadecimal digits; spaces and line ends do not count.
///
/// # Panics
///
/// There is something else in it.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<char> = digits.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "an odd number of digits");
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

/// A packet from its octets, as a conversation is shown one that came: for a [`Peer`](super::Peer)
/// that looks into what was sent, and for what a conversation sent. `None` where it is malformed.
pub fn packet(octets: &[u8]) -> Option<Packet<'_>> {
    Sliced::of(octets).map(|sliced| sliced.shown(Duration::ZERO, false))
}

/// The SYN of a connection that [`Connect::syn`](crate::Connect::syn) describes, as it is sent to the
/// job's target.
///
/// # Errors
///
/// The connection is another one, or has settings that no host takes.
pub fn syn(connect: &Connect, job: &Job) -> Result<Vec<u8>> {
    if connect.kind() != ConnectKind::Syn {
        return Err(Error::new(format_args!("it is of the kind {}", connect.kind().name())));
    }
    let settings = Settings::read(connect)?;
    let address = settings.target.unwrap_or(job.target()).to_canonical();
    let local: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 7).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).into(),
    };
    let opening = Opening {
        local: (local, settings.source_port.unwrap_or(40_000)).into(),
        remote: (address, settings.port.unwrap_or(job.port())).into(),
        sequence: 1000,
        mtu: 1500,
    };
    opening.syn(&settings)
}

/// What a chain says of one flow, whose first packet's sender is its originator. Packets are a
/// millisecond apart. As in the host, a malformed packet is left out: one whose lengths
/// contradict each other or its size.
///
/// This slices packets by itself, more simply than the host's observer: fragments and ICMP errors
/// are not joined to the flow that they belong to.
///
/// # Errors
///
/// The chain fails, or there is no packet that is well-formed.
pub fn observe(chain: ChainHandle, packets: &[Vec<u8>]) -> Result<FlowRecord> {
    let apart = (0..).map(Duration::from_millis);
    observe_at(chain, &apart.zip(packets.iter().map(Vec::as_slice)).collect::<Vec<_>>())
}

/// The same of packets with times.
pub(super) fn observe_at(chain: ChainHandle, packets: &[(Duration, &[u8])]) -> Result<FlowRecord> {
    let set = ChainSet::new(&[chain])?;
    let number = packets.len();
    let sliced: Vec<(Duration, Sliced<'_>)> =
        packets.iter().filter_map(|(at, packet)| Some((*at, Sliced::of(packet)?))).collect();
    let (_, first) = sliced.first().ok_or_else(|| {
        Error::new(format_args!("none of {number} packets is well-formed: no flow"))
    })?;
    let shown: Vec<Packet<'_>> = sliced
        .iter()
        .map(|(at, packet)| packet.shown(*at, packet.source == first.source))
        .collect();
    let mut flow = set.new_flow(&shown[0]);
    for packet in &shown {
        set.packet(&mut flow, packet);
    }
    let mut record = FlowRecord::new(Arc::clone(set.slots()));
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
    /// `None` where it is malformed.
    fn of(packet: &'a [u8]) -> Option<Sliced<'a>> {
        let sliced = LaxSlicedPacket::from_ip(packet).ok()?;
        let (source, version, payload, is_whole) = match &sliced.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let (header, payload) = (ip.header(), ip.payload());
                let claimed = usize::from(header.total_len());
                let is_whole = claimed == 0 || claimed <= packet.len();
                (header.source().to_vec(), Layers::IP4, payload, is_whole)
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let (header, payload) = (ip.header(), ip.payload());
                let is_whole = usize::from(header.payload_length()) + 40 <= packet.len();
                (header.source().to_vec(), Layers::IP6, payload, is_whole)
            }
            _ => return None,
        };
        let protocol = payload.ip_number;
        let (layer, header) = match &sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => (Layers::TCP, tcp.header_slice().len()),
            Some(TransportSlice::Udp(_)) => (Layers::UDP, 8),
            Some(TransportSlice::Icmpv4(_)) => (Layers::ICMP4, 8),
            Some(TransportSlice::Icmpv6(_)) => (Layers::ICMP6, 8),
            // A header that is too short for its protocol; in a later fragment there is none.
            _ if !payload.fragmented && HEADED.contains(&protocol) => return None,
            _ => (Layers::L4, 0),
        };
        if !is_whole || sliced.stop_err.is_some() {
            return None;
        }
        let ip_payload = payload.payload;
        let before = ip_payload.as_ptr() as usize - packet.as_ptr() as usize;
        let header = header.min(ip_payload.len());
        Some(Sliced {
            source,
            ip: &packet[..before],
            transport: &ip_payload[..header],
            payload: &ip_payload[header..],
            length: (before + ip_payload.len()) as u32,
            layers: version.and(layer),
            protocol: protocol.0,
        })
    }

    fn shown(&self, at: Duration, forward: bool) -> Packet<'a> {
        Packet::new(Parts {
            time_ns: 1_700_000_000_000_000_000 + at.as_nanos() as i64,
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
