//! Answers in protocols without acknowledgments: DNS by identifier and question, QUIC by connection ID,
//! ICMP by identifier and sequence number, everything else by having asked at all.

use pathspider_plugin_api::packet::Layers;
use pathspider_plugin_api::packet::place::{icmp, udp};
use pathspider_plugin_api::packet::quic::{LongHeader, QuicPacket, is_known};

use super::Judged;
use crate::chains::dns::message::{Heading, heading};
use crate::counters::Unanswering;
use crate::dissect::{Dissected, Fragment, Quote, be16, be32};

/// The kinds of requests in ICMP and of their replies: echo, timestamp, information, and address mask (RFC
/// 792, RFC 950).
const QUERIES: [(u8, u8); 4] = [(8, 0), (13, 14), (15, 16), (17, 18)];

/// Echo in ICMPv6 (RFC 4443, section 4).
const ECHO_V6: (u8, u8) = (128, 129);

/// How many different requests of a flow are kept apart. Where there are more, any packet answers.
const MARKS: usize = 3;

/// What was asked on a flow, as far as answers are known by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// What tells requests apart: see [`mark`]. The first `count` are set.
    marks: [u32; MARKS],
    count: u8,
    /// The length of our last datagram.
    length: u16,
    /// Our datagrams have several lengths.
    lengths_differ: bool,
    /// Some of the marks are of QUIC's connection IDs.
    is_quic: bool,
    /// Something left us that has no mark, or more than can be kept.
    any: bool,
    /// An answer came.
    answered: bool,
}

impl Asked {
    /// Takes a packet that left us.
    pub(super) fn sent(&mut self, packet: &Dissected<'_>) {
        if matches!(packet.fragment, Fragment::Later(_)) {
            return;
        }
        if packet.layers.intersects(Layers::UDP) {
            let length = be16(packet.transport, udp::LENGTH);
            self.lengths_differ |= self.length != 0 && self.length != length;
            self.length = length;
        }
        let count = usize::from(self.count);
        let request = match request(packet) {
            None if packet.layers.intersects(Layers::UDP) => match QuicPacket::read(packet.payload)
            {
                Some(QuicPacket::Long(header)) if is_known(header.version()) => {
                    self.is_quic = true;
                    Some(quic_mark(header.source()))
                }
                // Where it goes is in the long headers before it.
                Some(QuicPacket::Short(_)) if self.is_quic => return,
                _ => None,
            },
            request => request,
        };
        match request {
            Some(mark) if self.marks[..count].contains(&mark) => {}
            Some(mark) if count < MARKS => {
                self.marks[count] = mark;
                self.count += 1;
            }
            _ => self.any = true,
        }
    }

    /// Judges a packet that came.
    pub(super) fn came(&mut self, packet: &Dissected<'_>) -> Judged {
        let answers = self.any
            || match packet.fragment {
                // It has nothing of its own to know it by.
                Fragment::Later(_) => self.answered,
                _ => self.answers(packet),
            };
        self.answered |= answers;
        if answers { Ok(()) } else { Err(Unanswering::Query) }
    }

    fn answers(&self, packet: &Dissected<'_>) -> bool {
        let marks = &self.marks[..self.count.into()];
        if packet.layers.intersects(Layers::UDP) {
            if self.is_quic {
                match QuicPacket::read(packet.payload) {
                    Some(QuicPacket::Long(theirs)) if is_answer(&theirs) => {
                        return marks.contains(&quic_mark(theirs.destination()));
                    }
                    // Its connection ID may be one that we gave under seal.
                    Some(QuicPacket::Short(_)) if self.answered => return true,
                    _ => {}
                }
            }
            return heading(packet.payload).is_some_and(|theirs| {
                theirs.is_response && marks.iter().any(|&mark| is_response(mark, &theirs))
            });
        }
        let header = packet.transport;
        packet.layers.intersects(Layers::ICMP)
            && is_icmp_reply(packet.tuple.is_v6, header[icmp::KIND])
            && marks.contains(&be32(header, icmp::REST))
    }

    /// Whether a quoted datagram is one that we sent: by its length, and by its identifier where
    /// the quote goes that far.
    pub(super) fn is_quoted(&self, quote: &Quote<'_>) -> bool {
        use pathspider_plugin_api::packet::protocol::{ICMP, ICMPV6, UDP};
        let (header, marks) = (quote.transport, &self.marks[..self.count.into()]);
        match quote.tuple.protocol {
            UDP => {
                let is_length = |header: &[u8]| be16(header, udp::LENGTH) == self.length;
                // The first two octets of data.
                let is_id = |header: &[u8]| {
                    header.len() < udp::HEADER + 2
                        || marks.iter().any(|mark| mark >> 16 == be16(header, udp::HEADER).into())
                };
                header.len() >= udp::HEADER
                    && (self.lengths_differ || is_length(header))
                    && (self.any || is_id(header) || self.is_quic && is_quic_quoted(header, marks))
            }
            ICMP | ICMPV6 => {
                let is_known = |header| marks.contains(&be32(header, icmp::REST));
                self.any || (header.len() >= icmp::HEADER && is_known(header))
            }
            _ => true,
        }
    }
}

/// What tells a request from others: a DNS query's identifier and a hash of its question, or an
/// ICMP request's identifier and sequence number. `None` for what is neither.
fn request(packet: &Dissected<'_>) -> Option<u32> {
    if packet.layers.intersects(Layers::UDP) {
        let query = heading(packet.payload).filter(Heading::is_query)?;
        return Some(mark(query.id, query.question?));
    }
    let header = packet.transport;
    let is_request = packet.layers.intersects(Layers::ICMP)
        && if packet.tuple.is_v6 {
            header[icmp::KIND] == ECHO_V6.0
        } else {
            QUERIES.iter().any(|(request, _)| header[icmp::KIND] == *request)
        };
    is_request.then(|| be32(header, icmp::REST))
}

/// Whether a packet can be an answer of QUIC.
fn is_answer(theirs: &LongHeader<'_>) -> bool {
    is_known(theirs.version()) || theirs.versions().is_some()
}

/// What tells a connection of QUIC from others: the ID that we gave it.
fn quic_mark(id: &[u8]) -> u32 {
    hash_of(id.iter().copied()) ^ id.len() as u32
}

/// Whether a quoted datagram is one of QUIC that we sent, as far as the quote goes: a short header says
/// nothing of who sent it.
fn is_quic_quoted(header: &[u8], marks: &[u32]) -> bool {
    match header.get(udp::HEADER..).and_then(QuicPacket::read) {
        Some(QuicPacket::Long(quoted)) => marks.contains(&quic_mark(quoted.source())),
        // A long header that is not quoted to its end is one of ours by the flow's length alone.
        _ => true,
    }
}

/// Whether a message of this kind replies to such a request.
fn is_icmp_reply(is_v6: bool, kind: u8) -> bool {
    if is_v6 { kind == ECHO_V6.1 } else { QUERIES.iter().any(|(_, reply)| kind == *reply) }
}

/// Whether a response is to the query with that mark. A server that refuses need not say what it
/// was asked.
fn is_response(asked: u32, theirs: &Heading<'_>) -> bool {
    match theirs.question {
        Some(question) => asked == mark(theirs.id, question),
        None => theirs.questions == 0 && theirs.code != 0 && asked >> 16 == theirs.id.into(),
    }
}

/// A query's identifier, and sixteen bits of its question, whose letters count in either case
/// (RFC 1035, section 2.3.3).
fn mark(id: u16, question: &[u8]) -> u32 {
    let hash = hash_of(question.iter().map(u8::to_ascii_lowercase));
    // Folded.
    u32::from(id) << 16 | (hash >> 16 ^ hash & 0xffff)
}

/// FNV-1a.
fn hash_of(octets: impl Iterator<Item = u8>) -> u32 {
    octets.fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193))
}
