//! Makes a large capture with the shape of real traffic.
//!
//! Web-like TCP connections of very different lengths (Pareto), one in five over IPv6, one in ten
//! with ECN, a few without an answer; DNS over UDP; some ICMP errors and packets that are not IP.
//! Thousands of flows are alive at once and their packets are mixed. Packets are cut to 128
//! octets, as captures for measurement are: so copying payload does not hide the work on headers.

use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Result, ensure};
use etherparse::{PacketBuilder, PacketBuilderStep, TcpOptionElement, ip_number};

use crate::random::Random;

const SNAPLEN: usize = 128;
/// Between two flows' beginnings, on average.
const GAP_NS: u64 = 200_000;
const START_NS: u64 = 1_700_000_000_000_000_000;

/// One flow: what it has still to send, and when.
struct Flow {
    next_ns: u64,
    number: u64,
    kind: Kind,
    step: u64,
    segments: u64,
    from_us: u32,
    from_them: u32,
    address: u64,
    port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp { v6: bool, ecn: bool, answered: bool },
    Dns,
    Noise,
}

impl PartialEq for Flow {
    fn eq(&self, other: &Flow) -> bool {
        (self.next_ns, self.number) == (other.next_ns, other.number)
    }
}
impl Eq for Flow {}
impl PartialOrd for Flow {
    fn partial_cmp(&self, other: &Flow) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Flow {
    /// The one that sends first is the greatest, for the heap.
    fn cmp(&self, other: &Flow) -> std::cmp::Ordering {
        (other.next_ns, other.number).cmp(&(self.next_ns, self.number))
    }
}

/// Writes the capture.
pub(crate) fn make(path: &Path, packets: u64) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for field in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, SNAPLEN as u32, 1] {
        file.write_all(&field.to_le_bytes())?;
    }
    let mut random = Random(7);
    let mut flows = BinaryHeap::new();
    let (mut begun, mut next_ns) = (0, START_NS);
    let mut bytes = Vec::with_capacity(2048);
    for _ in 0..packets {
        while flows.peek().is_none_or(|flow: &Flow| flow.next_ns >= next_ns) {
            flows.push(begin(begun, next_ns, &mut random));
            begun += 1;
            next_ns += random.below(2 * GAP_NS) + 1;
        }
        let Some(mut flow) = flows.pop() else { break };
        bytes.clear();
        let goes_on = flow.packet(&mut bytes, &mut random)?;
        write(&mut file, flow.next_ns, &bytes)?;
        if goes_on {
            flow.next_ns += flow.pause(&mut random);
            flows.push(flow);
        }
    }
    file.flush()?;
    Ok(())
}

/// The number of packets in a capture that `make` has written.
pub(crate) fn count(path: &Path) -> Result<u64> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let (mut at, mut count) = (24, 0);
    while at < bytes.len() {
        ensure!(at + 16 <= bytes.len(), "the capture is cut short");
        let length = [bytes[at + 8], bytes[at + 9], bytes[at + 10], bytes[at + 11]];
        at += 16 + u32::from_le_bytes(length) as usize;
        count += 1;
    }
    Ok(count)
}

fn write(file: &mut impl Write, time_ns: u64, packet: &[u8]) -> Result<()> {
    let captured = packet.len().min(SNAPLEN);
    let (seconds, micros) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000 / 1_000);
    for field in [seconds as u32, micros as u32, captured as u32, packet.len() as u32] {
        file.write_all(&field.to_le_bytes())?;
    }
    file.write_all(&packet[..captured])?;
    Ok(())
}

fn begin(number: u64, next_ns: u64, random: &mut Random) -> Flow {
    let kind = match random.below(100) {
        0..15 => Kind::Dns,
        15..17 => Kind::Noise,
        _ => Kind::Tcp {
            v6: random.percent(20),
            ecn: random.percent(10),
            answered: random.percent(95),
        },
    };
    Flow {
        next_ns,
        number,
        kind,
        step: 0,
        segments: 6 + 3 * random.heavy(3_000),
        from_us: random.next() as u32,
        from_them: random.next() as u32,
        address: random.next(),
        port: 32_768 + random.below(28_000) as u16,
    }
}

impl Flow {
    /// Round trips of tens of milliseconds between a request and its answer, little between the
    /// segments of one answer.
    fn pause(&self, random: &mut Random) -> u64 {
        let within =
            matches!(self.kind, Kind::Tcp { .. }) && self.step > 4 && !self.step.is_multiple_of(3);
        if within { 20_000 + random.below(200_000) } else { 5_000_000 + random.below(60_000_000) }
    }

    /// Builds the next packet; `false` when it is the last.
    fn packet(&mut self, bytes: &mut Vec<u8>, random: &mut Random) -> Result<bool> {
        self.step += 1;
        match self.kind {
            Kind::Tcp { v6, ecn, answered } => self.tcp(v6, ecn, answered, bytes),
            Kind::Dns => self.dns(bytes),
            Kind::Noise => self.noise(bytes, random),
        }
    }

    fn tcp(&mut self, v6: bool, ecn: bool, answered: bool, bytes: &mut Vec<u8>) -> Result<bool> {
        // SYN, SYN/ACK, ACK, request; then two segments and an ACK in turn; FIN, FIN, ACK.
        let last = 4 + self.segments;
        let step = self.step;
        let ours = match step {
            1 | 3 | 4 => true,
            2 => !answered,
            n if n > last => n != last + 2,
            n => n % 3 == 0,
        };
        let data: usize = match step {
            4 => 180,
            n if n > 4 && n <= last && !ours => 1400,
            _ => 0,
        };
        let mark = if ecn && data > 0 { 2 } else { 0 };
        let builder = self.ip(v6, ours, mark);
        let (from, to, sequence, acknowledged) = if ours {
            (self.port, 443, self.from_us, self.from_them)
        } else {
            (443, self.port, self.from_them, self.from_us)
        };
        let mut tcp = builder.tcp(from, to, sequence, 64_000);
        let stamps = TcpOptionElement::Timestamp(step as u32, step as u32);
        let is_syn = step <= 2 || !answered;
        if is_syn {
            tcp = tcp.syn().options(&[
                TcpOptionElement::MaximumSegmentSize(1460),
                TcpOptionElement::SelectiveAcknowledgementPermitted,
                stamps,
                TcpOptionElement::Noop,
                TcpOptionElement::WindowScale(7),
            ])?;
            if ecn {
                tcp = if ours { tcp.ece().cwr() } else { tcp.ece() };
            }
        } else {
            tcp = tcp.options(&[TcpOptionElement::Noop, TcpOptionElement::Noop, stamps])?;
        }
        if step > 1 && answered {
            tcp = tcp.ack(acknowledged);
        }
        let fin = step == last + 1 || step == last + 2;
        if fin {
            tcp = tcp.fin();
        }
        tcp.write(bytes, &[0x55; 1400][..data])?;
        let advance = data as u32 + u32::from(is_syn || fin);
        if ours {
            self.from_us = self.from_us.wrapping_add(if answered { advance } else { 0 });
        } else {
            self.from_them = self.from_them.wrapping_add(advance);
        }
        Ok(if answered { step < last + 3 } else { step < 4 })
    }

    fn ip(&self, v6: bool, ours: bool, mark: u8) -> PacketBuilderStep<etherparse::IpHeaders> {
        let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let host = self.address as u32;
        if v6 {
            let mut us = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1).octets();
            us[15] = self.number as u8;
            let them = (0x2001_0db8_u128 << 96 | u128::from(self.address)).to_be_bytes();
            let (from, to) = if ours { (us, them) } else { (them, us) };
            let header = etherparse::Ipv6Header {
                traffic_class: mark,
                hop_limit: 60,
                source: from,
                destination: to,
                ..Default::default()
            };
            ethernet.ip(etherparse::IpHeaders::Ipv6(header, Default::default()))
        } else {
            let us = Ipv4Addr::new(192, 0, 2, self.number as u8).octets();
            let them = host.to_be_bytes();
            let (from, to) = if ours { (us, them) } else { (them, us) };
            let header = etherparse::Ipv4Header {
                ecn: etherparse::IpEcn::try_new(mark).unwrap_or_default(),
                time_to_live: 60,
                source: from,
                destination: to,
                ..Default::default()
            };
            ethernet.ip(etherparse::IpHeaders::Ipv4(header, Default::default()))
        }
    }

    fn dns(&self, bytes: &mut Vec<u8>) -> Result<bool> {
        let ours = self.step == 1;
        let (from, to) = if ours { (self.port, 53) } else { (53, self.port) };
        let mut message = vec![self.number as u8, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(b"\x07example\x03org\0\0\x01\0\x01");
        if !ours {
            (message[2], message[7]) = (0x81, 1);
            message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        }
        self.ip(false, ours, 0).udp(from, to).write(bytes, &message)?;
        Ok(ours)
    }

    /// An ICMP error about nothing known, or a packet that is not IP.
    fn noise(&self, bytes: &mut Vec<u8>, random: &mut Random) -> Result<bool> {
        if random.percent(50) {
            bytes.extend([0xff; 12]);
            bytes.extend([0x08, 0x06]);
            bytes.resize(60, 0);
        } else {
            let mut quote = vec![0x45, 0, 0, 60, 0, 0, 0, 0, 1, ip_number::TCP.0, 0, 0];
            quote.extend(self.address.to_be_bytes());
            quote.extend([0x80, 0, 0, 80, 0, 0, 0, 1]);
            self.ip(false, false, 0)
                .icmpv4(etherparse::Icmpv4Type::TimeExceeded(
                    etherparse::icmpv4::TimeExceededCode::TtlExceededInTransit,
                ))
                .write(bytes, &quote)?;
        }
        Ok(false)
    }
}
