//! Packets for chains, and the flow records that chains make of them: by way of the observer, as
//! in a run.

use std::fs::File;
use std::io::{self, Seek};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader};
use pathspider_plugin_api::abi::ChainSet;
use pathspider_plugin_api::{Error, FlowRecord};
use rustix::fs::{MemfdFlags, memfd_create};

use pathspider_observer::{
    Frame, Link, Observed, PcapWriter, Settings, Sink, Source, SourceOptions, observe,
};

/// LINKTYPE_RAW: packets begin with the IP header.
const RAW: u32 = 101;
/// Our addresses.
const US4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const US6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// Some time, in nanoseconds.
const START: i64 = 1_700_000_000_000_000_000;

/// Packets in order.
pub(super) type Exchange = Vec<Vec<u8>>;

#[derive(Clone, Copy)]
enum Way {
    There,
    Back,
}

const SYN: u16 = 0x02;
const RST: u16 = 0x04;
const FIN: u16 = 0x01;
const ACK: u16 = 0x10;
const ECE: u16 = 0x40;
const CWR: u16 = 0x80;

/// What connections of different ends look like, over IPv4 and IPv6.
pub(super) fn exchanges() -> Vec<Exchange> {
    use Way::{Back, There};
    let mut exchanges = Vec::new();
    for v6 in [false, true] {
        let tcp = |way, flags, payload: &[u8]| tcp(v6, way, flags, payload);
        exchanges.extend([
            // A whole connection, without and with ECN.
            vec![
                tcp(There, SYN, b""),
                tcp(Back, SYN | ACK, b""),
                tcp(There, ACK, b"GET / HTTP/1.1\r\n\r\n"),
                tcp(Back, ACK, b"HTTP/1.1 204 No Content\r\n\r\n"),
                tcp(Back, FIN | ACK, b""),
                tcp(There, FIN | ACK, b""),
            ],
            vec![
                marked(tcp(There, SYN | ECE | CWR, b""), 0),
                marked(tcp(Back, SYN | ACK | ECE, b""), 46 << 2),
                marked(tcp(There, ACK, b"x"), 2),
                marked(tcp(Back, FIN | ACK, b"y"), 3),
            ],
            // Nothing back; refused; reset in the midst.
            vec![tcp(There, SYN, b""), tcp(There, SYN, b""), tcp(There, SYN | ECE | CWR, b"")],
            vec![tcp(There, SYN, b""), tcp(Back, RST | ACK, b"")],
            vec![tcp(There, SYN, b""), tcp(Back, SYN | ACK, b""), tcp(Back, RST, b"")],
            // The capture begins late.
            vec![tcp(Back, ACK, b"late"), tcp(There, ACK, b"")],
            // DNS over UDP.
            vec![udp(v6, There, &dns(0x0100)), udp(v6, Back, &dns(0x8180))],
            vec![udp(v6, There, b"?")],
        ]);
        exchanges.push(unreachable(v6, tcp(There, SYN, b"")));
    }
    exchanges
}

fn step(v6: bool, way: Way) -> PacketBuilderStep<etherparse::IpHeaders> {
    let (us, us6) = (US4.octets(), US6.octets());
    let (them, mut them6) = ([198, 51, 100, 7], us6);
    them6[15] = 7;
    match (v6, way) {
        (false, Way::There) => PacketBuilder::ipv4(us, them, 64),
        (false, Way::Back) => PacketBuilder::ipv4(them, us, 57),
        (true, Way::There) => PacketBuilder::ipv6(us6, them6, 64),
        (true, Way::Back) => PacketBuilder::ipv6(them6, us6, 57),
    }
}

fn tcp(v6: bool, way: Way, flags: u16, payload: &[u8]) -> Vec<u8> {
    let (from, to) = match way {
        Way::There => (40_000, 80),
        Way::Back => (80, 40_000),
    };
    let mut header = TcpHeader::new(from, to, 1000, 65_000);
    header.fin = flags & FIN != 0;
    header.syn = flags & SYN != 0;
    header.rst = flags & RST != 0;
    header.ack = flags & ACK != 0;
    header.ece = flags & ECE != 0;
    header.cwr = flags & CWR != 0;
    if header.syn {
        let options = [
            etherparse::TcpOptionElement::MaximumSegmentSize(1460),
            etherparse::TcpOptionElement::SelectiveAcknowledgementPermitted,
            etherparse::TcpOptionElement::Timestamp(1, 0),
            etherparse::TcpOptionElement::WindowScale(7),
        ];
        // They fit.
        let _ = header.set_options(&options);
    }
    write(|packet| step(v6, way).tcp_header(header.clone()).write(packet, payload))
}

fn udp(v6: bool, way: Way, payload: &[u8]) -> Vec<u8> {
    let (from, to) = match way {
        Way::There => (40_001, 53),
        Way::Back => (53, 40_001),
    };
    write(|packet| step(v6, way).udp(from, to).write(packet, payload))
}

fn write<E>(build: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Vec<u8> {
    let mut packet = Vec::new();
    // Writing to memory does not fail, and no length is beyond its field.
    let _ = build(&mut packet);
    packet
}

/// A DNS message that asks for `example.com`, with these flags.
fn dns(flags: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34];
    message.extend(flags.to_be_bytes());
    message.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend(b"\x07example\x03com\x00\x00\x01\x00\x01");
    message
}

/// The packet, and a router's word that its target cannot be reached.
pub(super) fn unreachable(v6: bool, packet: Vec<u8>) -> Exchange {
    let mut message = vec![if v6 { 1 } else { 3 }, 1, 0, 0, 0, 0, 0, 0];
    message.extend(&packet);
    let error = write(|out| {
        let step = step(v6, Way::Back);
        if v6 {
            step.icmpv6_raw(1, 1, [0; 4]).write(out, &message[8..])
        } else {
            step.icmpv4_raw(3, 1, [0; 4]).write(out, &message[8..])
        }
    });
    vec![packet, error]
}

/// The packet with this traffic class.
fn marked(mut packet: Vec<u8>, class: u8) -> Vec<u8> {
    if packet[0] >> 4 == 6 {
        packet[0] = 0x60 | class >> 4;
        packet[1] = packet[1] & 0x0f | class << 4;
    } else {
        packet[1] = class;
    }
    packet
}

/// Our address in a flow with this one.
pub(super) fn us(target: IpAddr) -> IpAddr {
    if target.is_ipv6() { US6.into() } else { US4.into() }
}

/// The exchanges with packets damaged, cut, repeated, reordered, and some that were never whole.
pub(super) fn malformed(exchanges: &[Exchange], random: &mut fastrand::Rng) -> Exchange {
    let mut packets = exchanges[random.usize(..exchanges.len())].clone();
    for packet in &mut packets {
        match random.u8(0..6) {
            0 => packet.truncate(random.usize(..=packet.len())),
            1 => *packet = (0..random.usize(..200)).map(|_| random.u8(..)).collect(),
            2 => {}
            _ => {
                for _ in 0..random.usize(1..6) {
                    // Mostly in the headers.
                    let at = random.usize(..packet.len().clamp(1, 80));
                    if let Some(octet) = packet.get_mut(at) {
                        *octet = random.u8(..);
                    }
                }
            }
        }
    }
    if random.bool() {
        random.shuffle(&mut packets);
    }
    packets.retain(|packet| !packet.is_empty());
    packets
}

/// What the chains say of the flows among these packets, each with the first failure of a chain.
///
/// # Errors
///
/// The observer itself failed.
pub(super) fn flows(
    chains: ChainSet,
    packets: &[Vec<u8>],
) -> Result<Vec<(FlowRecord, Option<Error>)>, String> {
    let capture = capture(packets).map_err(|error| error.to_string())?;
    let mut source = Source::from_reader(capture, "made up", &SourceOptions::default())
        .map_err(|error| error.to_string())?;
    let mut seen = Kept(Vec::new());
    let Observed { source, output, .. } =
        observe(&mut source, chains, &Settings::default(), &mut seen);
    source.map_err(|error| error.to_string())?;
    output.map_err(|error| error.to_string())?;
    Ok(seen.0)
}

fn capture(packets: &[Vec<u8>]) -> io::Result<File> {
    let mut file = File::from(memfd_create("packets", MemfdFlags::CLOEXEC)?);
    let mut writer = PcapWriter::to(file.try_clone()?);
    let link = Link::from_number(RAW).ok_or(io::ErrorKind::Unsupported)?;
    for (index, bytes) in packets.iter().enumerate() {
        let wire_length = bytes.len() as u32;
        let time_ns = START + index as i64 * 1_000_000;
        writer.write(&Frame {
            time_ns,
            link,
            link_number: RAW,
            interface: 0,
            bytes,
            wire_length,
        })?;
    }
    writer.finish()?;
    file.rewind()?;
    Ok(file)
}

struct Kept(Vec<(FlowRecord, Option<Error>)>);

impl Sink for Kept {
    fn flow(&mut self, record: &FlowRecord, failure: Option<Error>) -> io::Result<()> {
        self.0.push((record.clone(), failure));
        Ok(())
    }
}
