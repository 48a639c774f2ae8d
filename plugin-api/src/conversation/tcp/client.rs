//! The client: a conversation around a connection of smoltcp's, and what a measurement does in it.

use std::time::Duration;

use smoltcp::socket::tcp::{Socket, State as TcpState};

use super::segment::Segment;
use super::stack::Stack;
use crate::Value;
use crate::conversation::{Conversation, Ending, Next, Turn};
use crate::error::{Error, Result};
use crate::outcome::{Outcome, State};
use crate::packet::{Packet, TcpFlags};

/// How long the target's end of the connection is waited for once ours is acknowledged.
const PATIENCE: Duration = Duration::from_secs(1);

/// Octets that wait to be sent at most: more than a request has.
const OUTBOX: usize = 64 * 1024;

/// What a measurement does in a TCP connection of the client's. Every function does nothing unless it
/// is written.
pub trait TcpExchange: Send + 'static {
    /// The handshake is over: the time to write a request.
    ///
    /// # Errors
    ///
    /// Here and in `received`: the job has no record but the reason.
    fn opened(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        stream.close();
        Ok(())
    }

    /// Octets came, or the target has closed ([`Stream::is_finished`]); the client closes then too.
    ///
    /// By default the first answer is enough: what came is read, and the connection closed.
    ///
    /// # Errors
    ///
    /// As for `opened`.
    fn received(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        stream.read();
        stream.close();
        Ok(())
    }

    /// The target has acknowledged all that was written, and the connection is not closing: the time to
    /// write what is to leave apart from it.
    ///
    /// # Errors
    ///
    /// As for `opened`.
    fn acknowledged(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        let _ = stream;
        Ok(())
    }

    /// A segment leaves: it leaves as it is edited here, with right lengths and checksums. Repeats
    /// come here as often as they leave; resets do not, and leave as they are.
    fn outgoing(&mut self, segment: &mut Segment) {
        let _ = segment;
    }

    /// The packet that such a segment has become leaves: [`Turn::send`] sends it, and without that it
    /// does not leave. This is the place to leave one out, to send others in its stead or beside it,
    /// and to set what [`Segment`] cannot, such as a wrong checksum.
    ///
    /// The client repeats what is not acknowledged, so to lose a segment for good, leave out its
    /// repeats too.
    fn leaving(&mut self, packet: Vec<u8>, turn: &mut Turn<'_>) {
        turn.send(packet);
    }

    /// A packet came, before the client has read it: a segment of the target, or an ICMP error.
    fn incoming(&mut self, packet: &Packet<'_>) {
        let _ = packet;
    }

    /// It has ended: the outcome, to which keys may be added.
    fn outcome(&mut self, outcome: Outcome) -> Outcome {
        outcome
    }
}

/// A connection's octets.
pub struct Stream<'a> {
    socket: &'a mut Socket<'static>,
    outbox: &'a mut Vec<u8>,
    is_closing: &'a mut bool,
}

impl Stream<'_> {
    /// Takes what came.
    pub fn read(&mut self) -> Vec<u8> {
        let mut octets = vec![0; self.socket.recv_queue()];
        let read = self.socket.recv_slice(&mut octets).unwrap_or(0);
        octets.truncate(read);
        octets
    }

    /// Sends these octets, 64 KiB ahead at most: the rest is left out.
    pub fn write(&mut self, octets: &[u8]) {
        let room = OUTBOX.saturating_sub(self.outbox.len());
        self.outbox.extend(&octets[..octets.len().min(room)]);
    }

    /// Sends nothing after what was written, and closes. What comes until the target closes can still
    /// be read.
    pub fn close(&mut self) {
        *self.is_closing = true;
    }

    /// Breaks the connection off with a reset, at once.
    pub fn abort(&mut self) {
        self.socket.abort();
    }

    /// Whether the target has closed, and all that it sent was read.
    pub fn is_finished(&self) -> bool {
        !self.socket.may_recv()
    }
}

/// A TCP client in a conversation.
pub struct TcpClient<E> {
    exchange: E,
    option_room: usize,
    stack: Option<Stack>,
    outbox: Vec<u8>,
    /// How far it has come.
    stage: Stage,
    /// Whether octets were written that were not acknowledged when last looked at.
    is_unacknowledged: bool,
    is_closing: bool,
    /// Since when our end of it is acknowledged, and the target's has not come.
    half_closed: Option<Duration>,
    failure: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Open,
    /// The target's last octet was read.
    Finished,
}

impl<E: TcpExchange> TcpClient<E> {
    /// A client that connects to the target, for this exchange.
    pub fn new(exchange: E) -> TcpClient<E> {
        TcpClient {
            exchange,
            option_room: 0,
            stack: None,
            outbox: Vec::new(),
            stage: Stage::Connecting,
            is_unacknowledged: false,
            is_closing: false,
            half_closed: None,
            failure: None,
        }
    }

    /// Makes segments smaller by this many octets, for options that `outgoing` adds.
    pub fn option_room(mut self, octets: usize) -> TcpClient<E> {
        self.option_room = octets;
        self
    }

    /// Lets smoltcp and the exchange do what is due, and sends what comes of it.
    fn drive(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
        let Some(mut stack) = self.stack.take() else {
            return Err(Error::contract("a conversation that has not begun goes on"));
        };
        let next = self.go_on(&mut stack, turn);
        self.stack = Some(stack);
        next
    }

    fn go_on(&mut self, stack: &mut Stack, turn: &mut Turn<'_>) -> Result<Next> {
        let now = turn.now();
        stack.poll(now);
        self.exchange_octets(stack)?;
        // What was written leaves at once.
        stack.poll(now);
        for packet in stack.take_packets() {
            let Some(mut segment) = Segment::of(&packet) else { continue };
            if segment.has(TcpFlags::RST) {
                turn.send(packet);
                continue;
            }
            self.exchange.outgoing(&mut segment);
            self.exchange.leaving(segment.into_packet()?, turn);
        }
        Ok(self.next(stack, now))
    }

    /// Tells the exchange what is new, and takes what it writes.
    fn exchange_octets(&mut self, stack: &mut Stack) -> Result<()> {
        let is_open = !matches!(stack.state(), TcpState::SynSent | TcpState::Listen);
        let socket = stack.socket();
        if self.stage == Stage::Connecting && is_open && socket.may_send() {
            self.stage = Stage::Open;
            self.exchange.opened(&mut Stream {
                socket,
                outbox: &mut self.outbox,
                is_closing: &mut self.is_closing,
            })?;
        }
        while self.stage == Stage::Open && (socket.can_recv() || !socket.may_recv()) {
            if !socket.may_recv() {
                self.stage = Stage::Finished;
            }
            let before = socket.recv_queue();
            self.exchange.received(&mut Stream {
                socket,
                outbox: &mut self.outbox,
                is_closing: &mut self.is_closing,
            })?;
            if socket.recv_queue() == before {
                break;
            }
        }
        let is_acknowledged = self.outbox.is_empty() && socket.send_queue() == 0;
        if self.is_unacknowledged && is_acknowledged && !self.is_closing {
            self.is_unacknowledged = false;
            self.exchange.acknowledged(&mut Stream {
                socket,
                outbox: &mut self.outbox,
                is_closing: &mut self.is_closing,
            })?;
        }
        self.is_unacknowledged |= !self.outbox.is_empty();
        if socket.can_send() && !self.outbox.is_empty() {
            let sent = socket.send_slice(&self.outbox).unwrap_or(0);
            self.outbox.drain(..sent);
        }
        let is_over = self.is_closing || self.stage == Stage::Finished;
        if is_over && self.outbox.is_empty() {
            socket.close();
        }
        Ok(())
    }

    /// What it waits for.
    fn next(&mut self, stack: &mut Stack, now: Duration) -> Next {
        let delay = stack.delay(now);
        match stack.state() {
            _ if self.failure.is_some() => Next::Done,
            TcpState::Closed | TcpState::TimeWait => Next::Done,
            TcpState::FinWait2 => {
                let left = PATIENCE.saturating_sub(now - *self.half_closed.get_or_insert(now));
                if left.is_zero() {
                    Next::Done
                } else {
                    Next::WaitFor(delay.map_or(left, |delay| delay.min(left)))
                }
            }
            _ => delay.map_or(Next::Wait, Next::WaitFor),
        }
    }

    /// The target reset a connection that was in this state. Where one side's end was acknowledged, or
    /// both have closed, nothing is lost by it.
    fn reset(&mut self, before: TcpState) {
        use TcpState::{Closed, Closing, FinWait2, LastAck, TimeWait};
        if !matches!(before, Closed | Closing | FinWait2 | LastAck | TimeWait) {
            let is_refused = self.stage == Stage::Connecting;
            self.failure = Some(if is_refused { "refused" } else { "reset" });
        }
    }

    /// Takes an ICMP error. It ends a handshake, as it does a socket's; a connection that stands goes
    /// on (RFC 1122, section 4.2.3.9).
    fn error(&mut self, packet: &Packet<'_>) {
        if self.stage == Stage::Connecting {
            self.failure = packet.icmp().and_then(|icmp| icmp.failure());
        }
    }
}

/// Whether a segment goes from the target's end to ours.
fn is_of_flow(packet: &Packet<'_>, turn: &Turn<'_>) -> bool {
    let (ip, (local, remote)) = (packet.ip(), (turn.local(), turn.remote()));
    (ip.source(), ip.destination()) == (remote.ip(), local.ip())
        && packet.ports() == Some((remote.port(), local.port()))
}

impl<E: TcpExchange> Conversation for TcpClient<E> {
    fn begin(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
        let mtu = turn.mtu().saturating_sub(self.option_room);
        let ends = (turn.local(), turn.remote());
        self.stack = Some(Stack::connect(ends, mtu, turn.seed())?);
        self.drive(turn)
    }

    fn packet(&mut self, packet: &Packet<'_>, turn: &mut Turn<'_>) -> Result<Next> {
        if packet.tcp().is_some() && !is_of_flow(packet, turn) {
            // smoltcp would reset what it does not know.
            return self.drive(turn);
        }
        self.exchange.incoming(packet);
        let Some(tcp) = packet.tcp() else {
            self.error(packet);
            return self.drive(turn);
        };
        if let Some(stack) = &mut self.stack {
            let before = stack.state();
            stack.came(packet.octets());
            stack.poll(turn.now());
            if tcp.has(TcpFlags::RST) && stack.state() == TcpState::Closed {
                self.reset(before);
            }
        }
        self.drive(turn)
    }

    fn timer(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
        self.drive(turn)
    }

    fn end(&mut self, ending: Ending) -> Outcome {
        let phase = if self.stage == Stage::Connecting { "connect" } else { "request" };
        let failed = |outcome: Outcome| outcome.with("spdr_phase", phase);
        let outcome = match (self.failure, ending) {
            (Some(word), _) => {
                let outcome = Outcome::new(State::Failed);
                failed(outcome.with("spdr_error", Value::text(word)))
            }
            (None, Ending::Done) => ending.outcome(),
            // All was said, and only the target's acknowledgment was waited for.
            (None, Ending::Timeout) if self.is_closing => Ending::Done.outcome(),
            (None, _) => failed(ending.outcome()),
        };
        self.exchange.outcome(outcome)
    }
}
