//! Connections as a measurement asks for them, and answered in many ways: without them, what it concludes
//! where all is as it should be, and what it asks for then, would never be looked at.

use std::net::{IpAddr, Ipv6Addr};

use pathspider_plugin_api::forge::{self, HttpRequest};
use pathspider_plugin_api::packet::quic::{
    self, LongHeader, VERSION_1, VERSION_2, is_known, is_reserved,
};
use pathspider_plugin_api::packet::{TcpFlags, protocol};
use pathspider_plugin_api::{Connect, ConnectKind, Host, Job, Record, State};

use super::traffic::{self, Exchange};
use crate::asked::{self, Header, Opening, Settings};

/// Our port where the host is to choose it.
const PORT: u16 = 40_000;
/// The sequence numbers of the SYNs.
const OURS: u32 = 1000;
const THEIRS: u32 = 5000;
/// The code point of answers that are marked.
const MARK: u8 = 46;
const COOKIE: [u8; 8] = [7; 8];
/// The connection IDs of a question of QUIC.
const QUIC_IDS: [[u8; 8]; 2] = [[5; 8], [6; 8]];

/// What becomes of a connection: what the system makes of its first packet beside its settings, and what
/// the target and the path answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fate {
    /// One of `SYNS`.
    syn: usize,
    answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Answer {
    Accepted,
    /// With a code point of its own.
    Marked,
    Refused,
    /// Accepted, and reset then.
    Reset,
    Unreachable,
    Silence,
}

const ANSWERS: [Answer; 6] = [
    Answer::Accepted,
    Answer::Marked,
    Answer::Refused,
    Answer::Reset,
    Answer::Unreachable,
    Answer::Silence,
];

/// A SYN as settings of the system, and what the kernel remembers, would have it.
struct Syn {
    flags: TcpFlags,
    options: &'static [(u8, &'static [u8])],
    /// Whether a connection with Fast Open has a cookie.
    has_cookie: bool,
}

const SACK: (u8, &[u8]) = (4, &[]);
const TIMESTAMP: (u8, &[u8]) = (8, &[0, 0, 0, 1, 0, 0, 0, 0]);
const SCALE: (u8, &[u8]) = (3, &[7]);

const fn syn(flags: TcpFlags, options: &'static [(u8, &'static [u8])], has_cookie: bool) -> Syn {
    Syn { flags, options, has_cookie }
}

/// The ordinary one first.
const SYNS: [Syn; 8] = [
    syn(TcpFlags::NONE, &[SACK, TIMESTAMP, SCALE], false),
    syn(TcpFlags::NONE, &[SACK, TIMESTAMP, SCALE], true),
    syn(TcpFlags::ECE.and(TcpFlags::CWR), &[SACK, TIMESTAMP, SCALE], false),
    syn(TcpFlags::ASK_FOR_ECN, &[SACK, TIMESTAMP, SCALE], false),
    syn(TcpFlags::NONE, &[], false),
    syn(TcpFlags::NONE, &[SACK], false),
    syn(TcpFlags::NONE, &[TIMESTAMP], false),
    syn(TcpFlags::NONE, &[SCALE], false),
];

impl Fate {
    /// Each answer to an ordinary packet.
    pub(super) fn ordinary() -> impl Iterator<Item = Fate> {
        ANSWERS.into_iter().map(|answer| Fate { syn: 0, answer })
    }

    /// Mostly an ordinary one that works.
    pub(super) fn any(random: &mut fastrand::Rng) -> Fate {
        let syn = if random.bool() { 0 } else { random.usize(..SYNS.len()) };
        let answer = match random.u8(0..3) {
            0 => Answer::Accepted,
            1 => Answer::Marked,
            _ => ANSWERS[random.usize(..ANSWERS.len())],
        };
        Fate { syn, answer }
    }

    /// How the connection ends.
    pub(super) fn state(self) -> State {
        match self.answer {
            Answer::Accepted | Answer::Marked => State::Ok,
            Answer::Refused | Answer::Reset | Answer::Unreachable => State::Failed,
            Answer::Silence => State::Timeout,
        }
    }

    /// Its packets.
    pub(super) fn packets(self, job: &Job, connect: &Connect) -> Exchange {
        // What a plugin made or sends by itself has none.
        let settings = Settings::read(connect).unwrap_or_default();
        let exchange = match connect.kind() {
            ConnectKind::Skip => None,
            ConnectKind::Packets => self.of_forged(connect),
            ConnectKind::Syn => self.of_syn(job, &settings),
            ConnectKind::DnsUdp => self.of_query(job, &settings),
            ConnectKind::Quic => self.of_quic(job, &settings),
            kind => self.of_stream(job, kind, &settings),
        };
        exchange.unwrap_or_default()
    }

    /// The code point of the answer.
    fn mark(self) -> u8 {
        if self.answer == Answer::Marked { MARK } else { 0 }
    }

    /// The packets of a TCP connection; `None` where they cannot be made.
    fn of_stream(self, job: &Job, kind: ConnectKind, settings: &Settings<'_>) -> Option<Exchange> {
        let ends = Ends::of(job, settings);
        let Ends { us, them, port, source } = ends;
        let syn = &SYNS[self.syn];
        let ours = |flags| ends.ours(settings).tcp(port).source_port(source).flags(flags);
        let theirs = |flags| {
            let back = forge::Packet::to(us).source(them).dscp(self.mark()).ttl(57);
            back.tcp(source).source_port(port).flags(flags)
        };
        let (asked, answered) = said(job, kind, settings);
        let early: &[u8] = if settings.fast_open && syn.has_cookie { &asked } else { &[] };
        let size = settings.mss.unwrap_or(1460);
        let mut opening = ours(TcpFlags::SYN.and(syn.flags)).sequence(OURS).mss(size as u16);
        let accepting = TcpFlags::SYN.and(TcpFlags::ACK);
        let asks = syn.flags.has(TcpFlags::ECE) && self.answer != Answer::Marked;
        let mut accepting = theirs(if asks { accepting.and(TcpFlags::ECE) } else { accepting })
            .sequence(THEIRS)
            .acknowledgment(OURS + 1 + early.len() as u32)
            .mss(1460);
        for (kind, value) in syn.options {
            (opening, accepting) = (opening.option(*kind, value), accepting.option(*kind, value));
        }
        if settings.fast_open {
            let cookie: &[u8] = if syn.has_cookie { &COOKIE } else { &[] };
            opening = opening.option(34, cookie).payload(early);
            if !syn.has_cookie {
                accepting = accepting.option(34, &COOKIE);
            }
        }
        if settings.mptcp {
            opening = opening.option(30, &[1, 1]);
            accepting = accepting.option(30, &[1, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
        }
        let (opening, accepting) = (opening.bytes().ok()?, accepting.bytes().ok()?);
        let (mut sent, mut got) = (OURS + 1, THEIRS + 1);
        let reset = |acknowledged| {
            let flags = TcpFlags::RST.and(TcpFlags::ACK);
            theirs(flags).sequence(THEIRS + 1).acknowledgment(acknowledged).bytes().ok()
        };
        Some(match self.answer {
            Answer::Silence => vec![opening.clone(), opening],
            Answer::Unreachable => traffic::unreachable(them.is_ipv6(), opening),
            Answer::Refused => vec![opening, reset(OURS + 1)?],
            Answer::Reset => {
                let ack = ours(TcpFlags::ACK).sequence(sent).acknowledgment(got).bytes().ok()?;
                vec![opening, accepting, ack, reset(OURS + 1)?]
            }
            Answer::Accepted | Answer::Marked => {
                sent += early.len() as u32;
                let mut exchange = vec![opening, accepting];
                let ack = ours(TcpFlags::ACK).sequence(sent).acknowledgment(got);
                exchange.push(ack.bytes().ok()?);
                let pushed = TcpFlags::ACK.and(TcpFlags::PSH);
                if early.is_empty() && !asked.is_empty() {
                    let data = ours(pushed).sequence(sent).acknowledgment(got).payload(&asked);
                    exchange.push(data.bytes().ok()?);
                    sent += asked.len() as u32;
                }
                if !answered.is_empty() {
                    let data = theirs(pushed).sequence(got).acknowledgment(sent);
                    exchange.push(data.payload(&answered).bytes().ok()?);
                    got += answered.len() as u32;
                }
                let end = TcpFlags::FIN.and(TcpFlags::ACK);
                exchange.push(ours(end).sequence(sent).acknowledgment(got).bytes().ok()?);
                exchange.push(theirs(end).sequence(got).acknowledgment(sent + 1).bytes().ok()?);
                let last = ours(TcpFlags::ACK).sequence(sent + 1).acknowledgment(got + 1);
                exchange.push(last.bytes().ok()?);
                exchange
            }
        })
    }

    /// The packets of a DNS query; `None` where they cannot be made.
    fn of_query(self, job: &Job, settings: &Settings<'_>) -> Option<Exchange> {
        let (ends, message) = (Ends::of(job, settings), query(job, settings)?);
        let packet = ends.ours(settings).udp(ends.port, &message).source_port(ends.source);
        self.answered(vec![packet.bytes().ok()?])
    }

    /// The SYN that the settings ask for, with an answer; `None` where it cannot be made.
    fn of_syn(self, job: &Job, settings: &Settings<'_>) -> Option<Exchange> {
        let Ends { us, them, port, source } = Ends::of(job, settings);
        let (local, remote) = ((us, source).into(), (them, port).into());
        let opening = Opening { local, remote, sequence: OURS, mtu: 1500 };
        self.answered(vec![opening.syn(settings).ok()?])
    }

    /// The first datagrams of QUIC: nobody here opens what is sealed in them. `None` where they cannot be
    /// made.
    fn of_quic(self, job: &Job, settings: &Settings<'_>) -> Option<Exchange> {
        let ends = Ends::of(job, settings);
        let (version, octets) = (settings.version.unwrap_or(VERSION_1), settings.padding);
        let asked = quic::probe(version, &QUIC_IDS[0], &QUIC_IDS[1], octets.unwrap_or(1200).into());
        let packet = ends.ours(settings).udp(ends.port, &asked).source_port(ends.source);
        self.answered(vec![packet.bytes().ok()?])
    }

    /// The plugin's own packets, with an answer to the first; `None` where they cannot be read.
    fn of_forged(self, connect: &Connect) -> Option<Exchange> {
        let mut exchange: Exchange = connect.packet_bytes().map(<[u8]>::to_vec).collect();
        for packet in &mut exchange {
            fill(packet)?;
        }
        self.answered(exchange)
    }

    /// These packets, with an answer to the first.
    fn answered(self, mut exchange: Exchange) -> Option<Exchange> {
        let first = exchange.first()?.clone();
        let header = asked::header(&first).ok()?;
        match self.answer {
            Answer::Silence => exchange.push(first),
            Answer::Unreachable => {
                let error = traffic::unreachable(header.source.is_ipv6(), first);
                exchange.extend(error.into_iter().skip(1));
            }
            _ => exchange.extend(self.reply(&header, &first)?),
        }
        Some(exchange)
    }

    /// A SYN/ACK or a reset, or the same datagram as a response of DNS.
    fn reply(self, header: &Header, packet: &[u8]) -> Option<Exchange> {
        let (ours, theirs) = header.ports?;
        let back = forge::Packet::to(header.source).source(header.destination).dscp(self.mark());
        if header.protocol == protocol::TCP {
            let next = header.opening.map_or(OURS, |opening| opening.wrapping_add(1));
            let segment = |flags: TcpFlags| {
                let segment = back.clone().tcp(ours).source_port(theirs);
                segment.flags(flags.and(TcpFlags::ACK)).acknowledgment(next)
            };
            let accepting = segment(TcpFlags::SYN).sequence(THEIRS).mss(1460).bytes().ok()?;
            let reset = segment(TcpFlags::RST).sequence(THEIRS + 1).bytes().ok()?;
            return Some(match self.answer {
                Answer::Refused => vec![reset],
                Answer::Reset => vec![accepting, reset],
                _ => vec![accepting],
            });
        }
        if header.protocol != protocol::UDP {
            return None;
        }
        let asked = packet.get(header.transport? + 8..)?;
        let mut message = asked.to_vec();
        let quic = LongHeader::read(asked).filter(|header| is_known(header.version()));
        match (self.answer, message.get_mut(2)) {
            // What comes is no answer.
            (Answer::Refused | Answer::Reset, _) => message = b"?".to_vec(),
            _ if quic.is_some() => message = quic.map(|header| quic_answer(&header))?,
            (_, Some(flags)) => *flags |= 0x80,
            _ => {}
        }
        Some(vec![back.udp(ours, &message).source_port(theirs).bytes().ok()?])
    }
}

/// Between whom a connection is.
#[derive(Clone, Copy)]
struct Ends {
    us: IpAddr,
    them: IpAddr,
    port: u16,
    source: u16,
}

impl Ends {
    fn of(job: &Job, settings: &Settings<'_>) -> Ends {
        let them = match settings.target.unwrap_or(job.target()).to_canonical() {
            // A name's address is looked up in a run.
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            address => address,
        };
        let port = settings.port.unwrap_or(job.port());
        let source = settings.source_port.filter(|port| *port != 0).unwrap_or(PORT);
        Ends { us: traffic::us(them), them, port, source }
    }

    /// A packet of ours with what the settings ask for.
    fn ours(self, settings: &Settings<'_>) -> forge::Packet {
        let packet = forge::Packet::to(self.them).source(self.us);
        packet
            .dscp(settings.dscp.unwrap_or(0))
            .ecn(settings.ecn.unwrap_or(0))
            .ttl(settings.ttl.unwrap_or(64))
    }
}

/// Fills in what the host would; `None` where the packet cannot be read.
fn fill(packet: &mut [u8]) -> Option<()> {
    let header = asked::header(packet).ok()?;
    if header.source.is_unspecified() {
        match traffic::us(header.destination) {
            IpAddr::V4(us) => packet[12..16].copy_from_slice(&us.octets()),
            IpAddr::V6(us) => packet[8..24].copy_from_slice(&us.octets()),
        }
    }
    if let (Some((0, _)), Some(at)) = (header.ports, header.transport) {
        packet[at..at + 2].copy_from_slice(&PORT.to_be_bytes());
    }
    Some(())
}

/// What is asked over a TCP connection, and what is answered.
fn said(job: &Job, kind: ConnectKind, settings: &Settings<'_>) -> (Vec<u8>, Vec<u8>) {
    match kind {
        ConnectKind::Http => {
            let headers = settings.headers.into_iter().flat_map(Record::iter);
            let request = HttpRequest::get(job, &Host::standalone());
            let request = headers.fold(request, |request, (name, value)| {
                request.header(name, value.as_str().unwrap_or_default())
            });
            (
                request.octets().unwrap_or_default(),
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
            )
        }
        ConnectKind::DnsTcp => {
            let framed =
                |message: Vec<u8>| [&(message.len() as u16).to_be_bytes()[..], &message].concat();
            let Some(asked) = query(job, settings) else { return Default::default() };
            let mut answered = asked.clone();
            answered[2] |= 0x80;
            (framed(asked), framed(answered))
        }
        ConnectKind::Tcp => Default::default(),
        // Nobody here reads it.
        _ => (b"?".to_vec(), b"!".to_vec()),
    }
}

/// The answer to a datagram of QUIC: a packet of its version, or the versions that there are.
fn quic_answer(asked: &LongHeader<'_>) -> Vec<u8> {
    let version = if is_reserved(asked.version()) { 0 } else { asked.version() };
    let mut answer = quic::probe(version, asked.source(), asked.destination(), 0);
    if version == 0 {
        answer.extend([VERSION_1, VERSION_2].map(u32::to_be_bytes).concat());
    } else {
        answer.resize(1200, 0);
    }
    answer
}

/// The query that the settings ask for; `None` where none can be made.
fn query(job: &Job, settings: &Settings<'_>) -> Option<Vec<u8>> {
    asked::query(settings, job, 0x1234).ok()
}
