//! Captures made in memory, and what the observer says of them.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)] // shared by several tests

use std::io::Cursor;
use std::time::Duration;

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader, TcpOptionElement};
use pathspider_observer::chains::Catalogue;
use pathspider_observer::{
    ConnectionId, Counters, JobNumber, Round, Settings, Source, SourceError, SourceOptions, observe,
};
use pathspider_plugin_api::{ChainName, ConfigId};
use serde_json::Value;

pub const RAW: u32 = 101;
pub const ETHERNET: u32 = 1;
pub const SECOND: i64 = 1_000_000_000;
/// When captures begin.
pub const START: i64 = 1_700_000_000 * SECOND;

pub const US: [u8; 4] = [192, 0, 2, 1];
pub const THEM: [u8; 4] = [198, 51, 100, 7];
pub const ROUTER: [u8; 4] = [203, 0, 113, 9];
pub const OUR_PORT: u16 = 40_000;
pub const THEIR_PORT: u16 = 80;

/// A connection, by the number of its job.
pub fn connection(number: u64) -> ConnectionId {
    ConnectionId::new(JobNumber::new(number), Round::FIRST, ConfigId::BASELINE)
}

/// Packets with their times, as a capture file.
#[derive(Clone, Default)]
pub struct Capture {
    pub link: u32,
    pub packets: Vec<(i64, Vec<u8>)>,
    /// Of the packet of this number, only this many octets were captured.
    pub cut: Option<(usize, usize)>,
}

impl Capture {
    pub fn raw() -> Capture {
        Capture { link: RAW, ..Capture::default() }
    }

    /// Adds a packet at this many milliseconds after the start.
    pub fn at(mut self, ms: i64, packet: Vec<u8>) -> Capture {
        self.packets.push((START + ms * 1_000_000, packet));
        self
    }

    /// The classic format, little endian, microseconds.
    pub fn file(&self) -> Vec<u8> {
        self.classic(0xa1b2_c3d4, 1_000, u32::to_le_bytes)
    }

    pub fn classic(&self, magic: u32, unit: i64, order: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let version = if order(1) == [1, 0, 0, 0] { 0x0004_0002 } else { 0x0002_0004 };
        let mut file = Vec::new();
        for field in [magic, version, 0, 0, 65_535, self.link] {
            file.extend(order(field));
        }
        for (number, (time, packet)) in self.packets.iter().enumerate() {
            let cut = self.cut.filter(|(cut, _)| *cut == number);
            let captured = cut.map_or(packet.len(), |(_, captured)| captured);
            let lengths = (captured as u32, packet.len() as u32);
            let (seconds, rest) = (time / SECOND, time % SECOND / unit);
            for field in [seconds as u32, rest as u32, lengths.0, lengths.1] {
                file.extend(order(field));
            }
            file.extend(&packet[..captured]);
        }
        file
    }

    pub fn source(&self) -> Source {
        let options = SourceOptions::default();
        Source::from_reader(Cursor::new(self.file()), "capture", &options).unwrap()
    }

    pub fn observe(&self, chains: &[&str]) -> Seen {
        self.observe_with(chains, &Settings::default())
    }

    pub fn observe_with(&self, chains: &[&str], settings: &Settings) -> Seen {
        see(self.source(), chains, settings)
    }
}

pub struct Seen {
    pub flows: Vec<Value>,
    pub counters: Counters,
    pub source: Result<(), SourceError>,
}

impl Seen {
    /// The only flow.
    pub fn flow(&self) -> &Value {
        assert_eq!(self.flows.len(), 1, "{:#?}", self.flows);
        &self.flows[0]
    }
}

pub fn see(mut source: Source, chains: &[&str], settings: &Settings) -> Seen {
    let names: Vec<ChainName> = ChainName::list(chains);
    let chains = Catalogue::library().resolve(&names).unwrap().chains;
    let mut flows = Vec::new();
    let observed = observe(&mut source, chains, settings, &mut |record: &_, failure: Option<_>| {
        assert!(failure.is_none());
        flows.push(serde_json::to_value(record).unwrap());
        Ok(())
    });
    Seen { flows, counters: observed.counters, source: observed.source }
}

pub fn settings(idle: u64, linger: u64, max_flows: usize) -> Settings {
    Settings {
        idle: Duration::from_secs(idle),
        linger: Duration::from_secs(linger),
        max_flows,
        ..Settings::default()
    }
}

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    There,
    Back,
}
pub use Way::{Back, There};

pub fn ip(way: Way) -> PacketBuilderStep<etherparse::IpHeaders> {
    match way {
        There => PacketBuilder::ipv4(US, THEM, 60),
        Back => PacketBuilder::ipv4(THEM, US, 60),
    }
}

/// A TCP segment of the flow between us and them; `flags` as on the wire.
pub fn tcp(way: Way, flags: u8, options: &[TcpOptionElement], payload: &[u8]) -> Vec<u8> {
    tcp_from(OUR_PORT, way, flags, (1_000, 2_000), options, payload)
}

pub fn tcp_from(
    port: u16,
    way: Way,
    flags: u8,
    (sequence, acknowledged): (u32, u32),
    options: &[TcpOptionElement],
    payload: &[u8],
) -> Vec<u8> {
    let (from, to) = if way == There { (port, THEIR_PORT) } else { (THEIR_PORT, port) };
    let mut header = TcpHeader::new(from, to, sequence, 64_000);
    header.acknowledgment_number = acknowledged;
    header.set_options(options).unwrap();
    header.fin = flags & 1 != 0;
    header.syn = flags & 2 != 0;
    header.rst = flags & 4 != 0;
    header.psh = flags & 8 != 0;
    header.ack = flags & 16 != 0;
    header.ece = flags & 64 != 0;
    header.cwr = flags & 128 != 0;
    bytes(ip(way).tcp_header(header), payload)
}

pub fn udp(way: Way, payload: &[u8]) -> Vec<u8> {
    let (from, to) = if way == There { (OUR_PORT, 53) } else { (53, OUR_PORT) };
    let builder = ip(way).udp(from, to);
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn bytes(builder: PacketBuilderStep<TcpHeader>, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// An ICMPv4 error from a router to us, with the start of the packet that it is about.
pub fn icmp(kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4(ROUTER, US, 60)
        .icmpv4_raw(kind, code, [0; 4])
        .write(&mut packet, quoted)
        .unwrap();
    packet
}

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;
pub const ECE: u8 = 64;
pub const CWR: u8 = 128;
