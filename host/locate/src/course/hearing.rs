//! Which packet that came in answers which probe.
//!
//! A quote is matched by a number that every quote has: TCP's sequence number, which is in the eight
//! octets that are quoted at the least, and for datagrams IPv4's identification, the identifier of a DNS
//! query, or a connection ID of QUIC. So a quote is ours whatever a translator made of its addresses and
//! ports.

use pathspider_plugin_api::forge;
use pathspider_plugin_api::packet::{Icmp, Packet, Quoted, Tcp, TcpFlags, protocol, tcp_option};

use super::evidence::{Evidence, Made, Probe};
use super::{ALL_HOPS, FLOWS, Subject};
use crate::Time;
use crate::field::compare;
use crate::location::Fate;
use crate::template::{Stamp, Token};

/// Takes a packet; gives the answers that it asks for. `None` where it is none of this search's.
pub(super) fn heard(
    evidence: &mut Evidence,
    ports: [u16; FLOWS],
    packet: &Packet<'_>,
    now: Time,
) -> Option<Vec<Vec<u8>>> {
    if let Some(icmp) = packet.icmp() {
        return error(evidence, packet, icmp, now).map(|()| Vec::new());
    }
    let remote = evidence.subject.marked.remote();
    let (from, to) = packet.ports()?;
    let flow = ports.iter().position(|port| *port == to)?;
    let is_tcp = packet.protocol() == protocol::TCP;
    if packet.ip().source() != remote.ip()
        || from != remote.port()
        || is_tcp != evidence.subject.marked.is_tcp()
    {
        return None;
    }
    let Some(tcp) = packet.tcp() else {
        datagram(evidence, flow, packet, now);
        return Some(Vec::new());
    };
    Some(match evidence.subject.handshake {
        Some(_) => in_connection(evidence, flow, packet, &tcp, now),
        None => opening(evidence, flow, packet, &tcp, now),
    })
}

/// An error that quotes one of ours.
fn error(evidence: &mut Evidence, packet: &Packet<'_>, icmp: Icmp<'_>, now: Time) -> Option<()> {
    let quoted = icmp.quoted()?;
    let at = quoted_probe(evidence, &quoted, now)?;
    let probe = &evidence.probes[at];
    let (from, after) = (packet.ip().source(), now.saturating_sub(probe.sent));
    let fate = match icmp.failure() {
        Some("ttl_exceeded") => {
            // Whoever sends it: a translator may do so in the target's name.
            let shown = Box::new(compare(&probe.template, &quoted));
            Fate::Seen { from, after, shown }
        }
        // The size of the packet is nothing of a feature's.
        Some("too_large") | None => return Some(()),
        Some(_) => Fate::Refused { from, icmp: Some((icmp.kind(), icmp.code())), after },
    };
    evidence.note(at, fate);
    Some(())
}

fn quoted_probe(evidence: &Evidence, quoted: &Quoted<'_>, now: Time) -> Option<usize> {
    let marked = &evidence.subject.marked;
    if quoted.ip().destination() != marked.remote().ip() {
        return None;
    }
    // All copies within a connection have one sequence number, and datagrams have none.
    let numbers = [number_in(quoted, marked.number_at()), quoted.ip().identification()];
    let has_number = |probe: &Probe| numbers.contains(&Some(probe.token.number));
    if marked.is_tcp() {
        let sequence = quoted.tcp_sequence()?;
        let is_same = |probe: &Probe| probe.token.sequence == sequence;
        let is_opening = evidence.subject.handshake.is_none();
        let is_this = |probe: &Probe| is_same(probe) && (is_opening || has_number(probe));
        return evidence.probes.iter().position(is_this);
    }
    if quoted.protocol() != protocol::UDP {
        return None;
    }
    let found = evidence.probes.iter().position(has_number);
    // Some datagrams of IPv6 have no number at all.
    let has_none = quoted.ip().is_v6() && marked.number_at().is_none();
    found.or_else(|| has_none.then(|| only_one_that_waits(evidence, now)).flatten())
}

/// The last probe, unless a quote of another one may still come.
fn only_one_that_waits(evidence: &Evidence, now: Time) -> Option<usize> {
    let (last, others) = evidence.probes.split_last()?;
    let cell = |probe: &Probe| (probe.flow, probe.side, probe.hop);
    let waits = |other: &Probe| {
        let age = now.saturating_sub(other.sent);
        other.answer.is_none() && cell(other) != cell(last) && age < evidence.settings.spacing
    };
    (!others.iter().any(waits)).then_some(others.len())
}

/// The number that stands at a place of a quote's transport header or data.
fn number_in(quoted: &Quoted<'_>, at: Option<usize>) -> Option<u16> {
    let octets = quoted.transport().get(at?..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*octets))
}

/// A segment for a SYN of ours.
fn opening(
    evidence: &mut Evidence,
    flow: usize,
    packet: &Packet<'_>,
    tcp: &Tcp<'_>,
    now: Time,
) -> Vec<Vec<u8>> {
    if !tcp.has(TcpFlags::ACK) {
        return Vec::new();
    }
    let number = tcp.acknowledgment();
    let data = evidence.subject.marked.data_length() as u32;
    let answers = |probe: &Probe| {
        let further = number.wrapping_sub(probe.token.sequence).wrapping_sub(1);
        probe.flow == flow && further <= data
    };
    let found = evidence.probes.iter().position(answers);
    let is_reset = tcp.has(TcpFlags::RST);
    if let Some(at) = found {
        let after = now.saturating_sub(evidence.probes[at].sent);
        let fate = if is_reset {
            Fate::Refused { from: packet.ip().source(), icmp: None, after }
        } else {
            Fate::Answered { after }
        };
        // A bare acknowledgment is of a connection that is not ours any more.
        if is_reset || tcp.has(TcpFlags::SYN) {
            evidence.note(at, fate);
        }
    }
    // What is half open at the target is freed, whichever of our SYNs it was.
    if is_reset { Vec::new() } else { reset_of(packet, tcp).into_iter().collect() }
}

/// The reset that answers a segment, with the number that it acknowledges (RFC 9293, section 3.5.3).
pub(crate) fn reset_of(packet: &Packet<'_>, tcp: &Tcp<'_>) -> Option<Vec<u8>> {
    let ip = packet.ip();
    let segment = forge::Packet::to(ip.source()).source(ip.destination()).tcp(tcp.source_port());
    let segment = segment.source_port(tcp.destination_port()).flags(TcpFlags::RST);
    segment.sequence(tcp.acknowledgment()).window(0).bytes().ok()
}

/// A segment in a connection that data go in, or that is to come about.
fn in_connection(
    evidence: &mut Evidence,
    flow: usize,
    packet: &Packet<'_>,
    tcp: &Tcp<'_>,
    now: Time,
) -> Vec<Vec<u8>> {
    let (is_syn, is_reset) = (tcp.has(TcpFlags::SYN), tcp.has(TcpFlags::RST));
    let number = tcp.acknowledgment();
    match evidence.made[flow] {
        Made::Asked { own, tries, .. }
            if number == own.wrapping_add(1) && tcp.has(TcpFlags::ACK) =>
        {
            if is_reset {
                evidence.made[flow] = Made::Not { tries };
                return Vec::new();
            }
            if !is_syn {
                return Vec::new();
            }
            let stamps = tcp.option(tcp_option::TIMESTAMPS).map(|option| option.data);
            let timestamp = stamps.and_then(|data| data.first_chunk::<4>());
            let timestamp = timestamp.map(|octets| u32::from_be_bytes(*octets));
            let theirs = tcp.sequence().wrapping_add(1);
            let made = Made::Established { own: number, theirs, timestamp, reached: number, tries };
            evidence.made[flow] = made;
            acknowledge(evidence, tcp, number, theirs, timestamp)
        }
        Made::Established { own, theirs, tries, timestamp, reached } => {
            if is_reset {
                // It is over here, and at the target it may not be, where somebody else sent it.
                if let Some(at) = last_of(evidence, flow) {
                    let after = now.saturating_sub(evidence.probes[at].sent);
                    let from = packet.ip().source();
                    evidence.note(at, Fate::Refused { from, icmp: None, after });
                }
                evidence.made[flow] = Made::Not { tries };
                let (template, port) = (&evidence.subject.marked, tcp.destination_port());
                return template.reset(port, reached).into_iter().collect();
            }
            let further = number.wrapping_sub(own);
            // The same once more is an answer where it says nothing else: no data of the target's, no end.
            let is_bare = packet.payload_length() == 0 && !tcp.has(TcpFlags::FIN);
            if tcp.has(TcpFlags::ACK) && further > 0 && further < 1 << 16 {
                let answered = if number != reached || is_bare {
                    evidence.last_that_may_arrive(flow)
                } else {
                    None
                };
                if let Some(at) = answered {
                    let after = now.saturating_sub(evidence.probes[at].sent);
                    evidence.note(at, Fate::Answered { after });
                }
                evidence.made[flow] =
                    Made::Established { own, theirs, timestamp, reached: number, tries };
            } else if is_syn && number == own {
                // Our acknowledgment was lost.
                return acknowledge(evidence, tcp, own, theirs, timestamp);
            }
            Vec::new()
        }
        _ if is_syn && tcp.has(TcpFlags::ACK) => reset_of(packet, tcp).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The third packet of a handshake.
fn acknowledge(
    evidence: &Evidence,
    tcp: &Tcp<'_>,
    own: u32,
    theirs: u32,
    timestamp: Option<u32>,
) -> Vec<Vec<u8>> {
    let Subject { marked, handshake, .. } = &evidence.subject;
    let bare = marked.without_data().acknowledging(theirs, timestamp, handshake.as_ref());
    let token = Token { sequence: own, number: 0xffff };
    let port = tcp.destination_port();
    let stamp = Stamp { ttl: ALL_HOPS, port, token };
    vec![bare.with_traffic_class(0).stamped(stamp).octets().to_vec()]
}

/// The last probe of a flow that has no answer.
fn last_of(evidence: &Evidence, flow: usize) -> Option<usize> {
    evidence.probes.iter().rposition(|probe| probe.flow == flow && probe.answer.is_none())
}

/// A datagram of the target's.
fn datagram(evidence: &mut Evidence, flow: usize, packet: &Packet<'_>, now: Time) {
    let identifier = packet.payload().first_chunk::<2>().map(|two| u16::from_be_bytes(*two));
    let at = if evidence.subject.marked.asks_dns() {
        evidence.probes.iter().position(|probe| Some(probe.token.number) == identifier)
    } else {
        last_of(evidence, flow)
    };
    if let Some(at) = at {
        let after = now.saturating_sub(evidence.probes[at].sent);
        evidence.note(at, Fate::Answered { after });
    }
}
