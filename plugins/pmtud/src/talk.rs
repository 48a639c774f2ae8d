//! The conversations: one packet with data of the wanted size, sent again while nobody answers, and not
//! for long once somebody says that it is too big.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pathspider_plugin_api::conversation::tcp::{Segment, Stream, TcpClient, TcpExchange};
use pathspider_plugin_api::forge::{self, HttpRequest};
use pathspider_plugin_api::packet::{Packet, protocol};
use pathspider_plugin_api::prelude::*;
use pathspider_plugin_api::{Conversation, Ending, Next, Turn};

use crate::chain::too_big;
use crate::question::{Question, answers};
use crate::search::SMALL;

/// Octets of the headers of IPv6 and UDP.
pub(crate) const HEADERS_V6_UDP: usize = 48;

/// How long an answer is waited for where a packet was said to be too big: whoever says so may be wrong,
/// and a repeat after a second may pass.
const GRACE: Duration = Duration::from_millis(1500);

/// How large the packet is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// So many octets.
    Octets(u16),
    /// As many as the interface takes.
    Mtu,
}

impl Wanted {
    /// The size where the interface takes this many octets at most; else why there is none.
    pub(crate) fn size(self, mtu: usize) -> std::result::Result<usize, String> {
        let small = usize::from(SMALL);
        match self {
            Wanted::Octets(octets) if usize::from(octets) <= mtu => Ok(octets.into()),
            Wanted::Mtu if mtu > small => Ok(mtu),
            _ => Err(format!("the interface takes packets of {mtu} octets at most")),
        }
    }
}

/// The size of a conversation's packet, which is known when it begins.
pub(crate) type Size = Arc<AtomicUsize>;

/// A conversation that is over some time after its packet was said to be too big, and that does not
/// begin where the interface takes none of that size.
pub(crate) struct Patient<C> {
    inner: C,
    size: Size,
    wanted: Wanted,
    /// When it is over.
    until: Option<Duration>,
    /// Why it did not begin.
    refused: Option<String>,
}

impl<C> Patient<C> {
    /// Around a conversation that takes its packet's size from there.
    pub(crate) fn new(inner: impl FnOnce(Size) -> C, wanted: Wanted) -> Patient<C> {
        let size = Size::default();
        Patient { inner: inner(Size::clone(&size)), size, wanted, until: None, refused: None }
    }

    /// What is waited for, but no longer than that.
    fn bounded(&self, next: Next, now: Duration) -> Next {
        let Some(until) = self.until else { return next };
        let left = until.saturating_sub(now);
        match next {
            Next::Done => Next::Done,
            _ if left.is_zero() => Next::Done,
            Next::Wait => Next::WaitFor(left),
            Next::WaitFor(wait) => Next::WaitFor(wait.min(left)),
        }
    }
}

impl<C: Conversation> Conversation for Patient<C> {
    fn protocol(&self) -> u8 {
        self.inner.protocol()
    }

    fn begin(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
        let octets = match self.wanted.size(turn.mtu()) {
            Ok(octets) => octets,
            Err(reason) => {
                self.refused = Some(reason);
                return Ok(Next::Done);
            }
        };
        self.size.store(octets, Ordering::Relaxed);
        self.inner.begin(turn)
    }

    fn packet(&mut self, packet: &Packet<'_>, turn: &mut Turn<'_>) -> Result<Next> {
        if packet.icmp().as_ref().is_some_and(|icmp| too_big(icmp).is_some()) {
            self.until.get_or_insert(turn.now() + GRACE);
        }
        let next = self.inner.packet(packet, turn)?;
        Ok(self.bounded(next, turn.now()))
    }

    fn timer(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
        let next = self.inner.timer(turn)?;
        Ok(self.bounded(next, turn.now()))
    }

    fn end(&mut self, ending: Ending) -> Outcome {
        match (&self.refused, self.until) {
            (Some(reason), _) => Outcome::not_supported(reason),
            (None, Some(_)) => match self.inner.end(Ending::Timeout) {
                outcome if outcome.state() == State::Ok => outcome,
                _ => Outcome::new(State::Failed).with("spdr_error", "too_large"),
            },
            (None, None) => self.inner.end(ending),
        }
    }
}

/// A request in one segment, whatever the target announces.
pub(crate) struct Sending {
    request: HttpRequest,
    size: Size,
    /// Octets of the headers before its data.
    headers: usize,
    octets: Vec<u8>,
    /// The number of the first of them.
    first: Option<u32>,
    /// What leaves is a part of them that has left already.
    is_rest: bool,
}

impl Sending {
    pub(crate) fn client(request: HttpRequest, is_v6: bool, size: Size) -> TcpClient<Sending> {
        let headers = if is_v6 { 60 } else { 40 };
        let octets = Vec::new();
        TcpClient::new(Sending { request, size, headers, octets, first: None, is_rest: false })
    }
}

/// A request of this many octets.
///
/// # Errors
///
/// It is longer already, or cannot be made.
pub(crate) fn padded(request: &HttpRequest, octets: usize) -> Result<Vec<u8>> {
    let shortest = request.clone().header("X-Padding", "").octets()?.len();
    let padding = octets.checked_sub(shortest).ok_or_else(|| {
        Error::new(format!(
            "the request has {shortest} octets, more than the smallest packet takes"
        ))
    })?;
    request.clone().header("X-Padding", &"u".repeat(padding)).octets()
}

impl TcpExchange for Sending {
    fn opened(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        let octets = self.size.load(Ordering::Relaxed).saturating_sub(self.headers);
        self.octets = padded(&self.request, octets)?;
        stream.write(&self.octets);
        Ok(())
    }

    fn outgoing(&mut self, segment: &mut Segment) {
        self.is_rest = false;
        if !segment.payload().is_empty() {
            let first = *self.first.get_or_insert(segment.sequence());
            if segment.sequence() == first {
                segment.set_options(&[]);
                segment.set_payload(&self.octets);
            } else {
                // The target announces less than this: the first segment had all of it.
                self.is_rest = true;
            }
        }
    }

    fn leaving(&mut self, packet: Vec<u8>, turn: &mut Turn<'_>) {
        if !self.is_rest {
            turn.send(packet);
        }
    }
}

/// A question in one datagram.
pub(crate) struct Asking {
    question: Question,
    size: Size,
    datagram: Vec<u8>,
    packet: Vec<u8>,
    /// How often it was sent.
    count: u32,
    /// When it is sent again.
    due: Option<Duration>,
}

impl Asking {
    pub(crate) fn new(question: Question, size: Size) -> Asking {
        Asking { question, size, datagram: Vec::new(), packet: Vec::new(), count: 0, due: None }
    }

    /// Sends it, and waits for one second, then two; and then for whatever comes.
    fn send(&mut self, turn: &mut Turn<'_>) -> Next {
        turn.send(self.packet.clone());
        self.count += 1;
        let pause = [1, 2].get(self.count as usize - 1).copied().map(Duration::from_secs);
        self.due = pause.map(|pause| turn.now() + pause);
        self.wait(turn)
    }

    fn wait(&self, turn: &Turn<'_>) -> Next {
        self.due.map_or(Next::Wait, |due| Next::WaitFor(due.saturating_sub(turn.now())))
    }
}

impl Conversation for Asking {
    fn protocol(&self) -> u8 {
        protocol::UDP
    }

    fn begin(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
        let (local, remote) = (turn.local(), turn.remote());
        let headers = if remote.is_ipv6() { HEADERS_V6_UDP } else { 28 };
        let octets = self.size.load(Ordering::Relaxed).saturating_sub(headers);
        self.datagram = self.question.datagram(octets)?;
        let packet = forge::Packet::to(remote.ip()).source(local.ip());
        let packet = packet.udp(remote.port(), &self.datagram).source_port(local.port());
        self.packet = packet.bytes()?;
        Ok(self.send(turn))
    }

    fn packet(&mut self, packet: &Packet<'_>, turn: &mut Turn<'_>) -> Result<Next> {
        match packet.udp() {
            Some(_) if answers(packet.payload(), &self.datagram) => Ok(Next::Done),
            Some(_) => Ok(self.wait(turn)),
            // What it says of the packet is the chain's to see. A repeat is due all the same.
            None => Ok(self.wait(turn)),
        }
    }

    fn timer(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
        let is_due = self.due.is_some_and(|due| due <= turn.now());
        Ok(if is_due { self.send(turn) } else { self.wait(turn) })
    }
}
