//! A server for conversations: what a target of most tests is.

use std::time::Duration;

use super::Peer;
use super::wire::packet;
use crate::forge;
use crate::packet::{Packet, Tcp, TcpFlags};

/// After how long what is not acknowledged is sent again.
const AGAIN: Duration = Duration::from_millis(700);
/// Octets of a segment; it sends four segments at once.
const SEGMENT: usize = 1000;
/// Its first sequence number, which comes to 0 in the middle of a response.
const FIRST: u32 = u32::MAX - 3000;

/// A plain TCP server on a path without faults: it answers a request, which ends with an empty line,
/// and closes. What is not acknowledged it sends again.
///
/// A path that harms something is a [`Peer`] of the test's own around it:
///
/// ```
/// use std::time::Duration;
///
/// use pathspider_plugin_api::packet::TcpFlags;
/// use pathspider_plugin_api::testing::{self, Peer, Server};
///
/// /// Drops segments with urgent data.
/// struct DropsUrgent(Server);
///
/// impl Peer for DropsUrgent {
///     fn take(&mut self, now: Duration, sent: &[u8]) -> Vec<(Duration, Vec<u8>)> {
///         let packet = testing::packet(sent);
///         let tcp = packet.as_ref().and_then(|packet| packet.tcp());
///         let is_urgent = tcp.is_some_and(|tcp| tcp.has(TcpFlags::URG));
///         if is_urgent { Vec::new() } else { self.0.take(now, sent) }
///     }
///
///     fn due(&mut self, now: Duration) -> Option<Duration> {
///         self.0.due(now)
///     }
///
///     fn wake(&mut self, now: Duration) -> Vec<(Duration, Vec<u8>)> {
///         self.0.wake(now)
///     }
/// }
/// # let _ = DropsUrgent(Server::new("HTTP/1.1 204 \r\n\r\n"));
/// ```
#[derive(Debug, Clone)]
pub struct Server {
    response: Vec<u8>,
    request: Vec<u8>,
    reads_from: Duration,
    client: Option<Client>,
    /// What the client acknowledged: SYN, octets and FIN.
    acknowledged: u32,
    sent_at: Duration,
}

/// Who asks.
#[derive(Debug, Clone)]
struct Client {
    /// The head of every packet to it, but for flags and numbers.
    head: forge::Segment,
    /// The next number of its.
    next: u32,
}

impl Server {
    /// A server that answers with these octets.
    pub fn new(response: impl Into<Vec<u8>>) -> Server {
        Server {
            response: response.into(),
            request: Vec::new(),
            reads_from: Duration::ZERO,
            client: None,
            acknowledged: 0,
            sent_at: Duration::ZERO,
        }
    }

    /// Takes no octets before this time; until then its window is closed.
    pub fn reads_from(self, time: Duration) -> Server {
        Server { reads_from: time, ..self }
    }

    /// What it was asked.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// The octets of SYN, response and FIN.
    fn all(&self) -> u32 {
        self.response.len() as u32 + 2
    }

    /// A segment whose number is so far from the first.
    fn segment(&self, now: Duration, flags: TcpFlags, offset: u32, data: &[u8]) -> Option<Vec<u8>> {
        let Client { head, next } = self.client.clone()?;
        let segment = head.flags(flags).sequence(FIRST.wrapping_add(offset)).payload(data);
        let window = if now < self.reads_from { 0 } else { 4096 };
        segment.acknowledgment(next).window(window).bytes().ok()
    }

    /// Sends what is not acknowledged.
    fn send(&mut self, now: Duration) -> Vec<Vec<u8>> {
        self.sent_at = now;
        if self.acknowledged == 0 {
            let flags = TcpFlags::SYN.and(TcpFlags::ACK);
            return self.segment(now, flags, 0, &[]).into_iter().collect();
        }
        if !self.request.ends_with(b"\r\n\r\n") {
            return Vec::new();
        }
        let from = self.acknowledged as usize - 1;
        let octets = self.response.get(from..).unwrap_or_default();
        let segments = octets.chunks(SEGMENT).take(4).enumerate().filter_map(|(at, data)| {
            self.segment(now, TcpFlags::ACK, (from + 1 + at * SEGMENT) as u32, data)
        });
        let mut packets: Vec<Vec<u8>> = segments.collect();
        if packets.is_empty() && self.acknowledged < self.all() {
            let flags = TcpFlags::FIN.and(TcpFlags::ACK);
            packets.extend(self.segment(now, flags, self.all() - 1, &[]));
        }
        packets
    }

    fn segment_came(&mut self, now: Duration, packet: &Packet<'_>, tcp: &Tcp<'_>) -> Vec<Vec<u8>> {
        let is_syn = tcp.has(TcpFlags::SYN);
        let ends = (packet.ip().source(), packet.ip().destination());
        let client = self.client.get_or_insert_with(|| {
            let head = forge::Packet::to(ends.0).source(ends.1).tcp(tcp.source_port());
            let head = head.source_port(tcp.destination_port());
            Client { head, next: tcp.sequence().wrapping_add(is_syn.into()) }
        });
        let length = packet.payload_length() + u32::from(tcp.has(TcpFlags::FIN));
        let takes = length > 0 && tcp.sequence() == client.next && now >= self.reads_from;
        if takes {
            client.next = client.next.wrapping_add(length);
            self.request.extend(packet.payload());
        }
        let before = self.acknowledged;
        if tcp.has(TcpFlags::ACK) {
            let number = tcp.acknowledgment().wrapping_sub(FIRST);
            assert!(number <= self.all(), "it acknowledges what was not sent");
            self.acknowledged = before.max(number);
        }
        let mut answers = Vec::new();
        if length > 0 {
            answers.extend(self.segment(now, TcpFlags::ACK, self.acknowledged, &[]));
        }
        if is_syn || self.acknowledged > before || length > 0 {
            answers.extend(self.send(now));
        }
        answers
    }
}

/// # Panics
///
/// The client acknowledges what was not sent.
impl Peer for Server {
    fn take(&mut self, now: Duration, sent: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        let Some(packet) = packet(sent) else { return Vec::new() };
        let Some(tcp) = packet.tcp().filter(|tcp| !tcp.has(TcpFlags::RST)) else {
            return Vec::new();
        };
        at_once(self.segment_came(now, &packet, &tcp))
    }

    fn due(&mut self, _: Duration) -> Option<Duration> {
        let waits = self.client.is_some() && self.acknowledged < self.all();
        waits.then_some(self.sent_at + AGAIN)
    }

    fn wake(&mut self, now: Duration) -> Vec<(Duration, Vec<u8>)> {
        let is_due = self.due(now).is_some_and(|due| due <= now);
        at_once(if is_due { self.send(now) } else { Vec::new() })
    }
}

fn at_once(packets: Vec<Vec<u8>>) -> Vec<(Duration, Vec<u8>)> {
    packets.into_iter().map(|packet| (Duration::ZERO, packet)).collect()
}
