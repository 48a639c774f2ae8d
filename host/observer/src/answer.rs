//! What counts as an answer: which packets that came on a flow are the target's.
//!
//! Only what left us was sent, and only what answers it is the target's. The judge is a value: it
//! learns what left, and says of each packet that came whether it answers that. What it rules out
//! is counted by kind ([`Unanswering`]) and shown to no chain.
//!
//! - **TCP**: a segment acknowledges our SYN or what we sent since (see [`tcp`]). A bare SYN
//!   acknowledges nothing, so it is no answer; what follows it may be one.
//! - **DNS over UDP**: a response has the identifier and the question of a query that we sent.
//! - **ICMP requests**: a reply has the identifier and the sequence number of one.
//! - **Anything else**: whatever comes after the first packet that we sent.
//! - **ICMP errors**: the quote is of a packet that we sent.

mod asked;
mod tcp;

use pathspider_plugin_api::packet::protocol;

use self::asked::Asked;
use self::tcp::{Segment, Tcp};
use super::counters::Unanswering;
use super::dissect::{Dissected, Quote};
use super::place::FlowId;
use super::ttls::Ttls;

/// What left us on a flow, as far as answers are known by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Judge {
    /// Nothing that can be answered.
    #[default]
    Silent,
    /// Segments of TCP.
    Tcp(Tcp),
    /// Packets of another protocol.
    Asked(Asked),
}

/// A judgment: the packet is of the connection, or why it is not.
pub(crate) type Judged = Result<(), Unanswering>;

impl Judge {
    /// Takes a packet that left us.
    ///
    /// # Errors
    ///
    /// It is a reset that our system sent to something that was no answer.
    #[inline]
    pub(crate) fn sent(&mut self, packet: &Dissected<'_>) -> Judged {
        if packet.tuple.protocol == protocol::TCP {
            return match (Segment::of(packet), &mut *self) {
                (Some(segment), Judge::Tcp(tcp)) => tcp.sent(&segment),
                // Nothing answers a reset.
                (Some(segment), _) if !segment.is_reset() => {
                    *self = Judge::Tcp(Tcp::begun(&segment));
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        if *self == Judge::Silent {
            *self = Judge::Asked(Asked::default());
        }
        if let Judge::Asked(asked) = self {
            asked.sent(packet);
        }
        Ok(())
    }

    /// Judges a packet that came.
    ///
    /// # Errors
    ///
    /// It answers nothing that left us.
    #[inline]
    pub(crate) fn came(&mut self, packet: &Dissected<'_>) -> Judged {
        match self {
            Judge::Silent => Err(Unanswering::Unasked),
            Judge::Tcp(tcp) => tcp.came(Segment::of(packet).as_ref()),
            Judge::Asked(asked) => asked.came(packet),
        }
    }

    /// Whether an ICMP error quotes a packet that left us.
    pub(crate) fn is_quoted(&self, quote: &Quote<'_>) -> bool {
        match self {
            Judge::Silent => false,
            // A later fragment names what we sent by its identification alone.
            _ if quote.fragment.is_some() => true,
            Judge::Tcp(tcp) => tcp.is_quoted(quote.transport),
            Judge::Asked(asked) => asked.is_quoted(quote),
        }
    }

    /// Whether nothing left us yet that can be answered.
    pub(crate) fn is_silent(&self) -> bool {
        *self == Judge::Silent
    }
}

/// The judges of a table's flows, beside it: observing has none, and its flows stay small.
#[derive(Debug, Default)]
pub(crate) struct Judges(Vec<Side>);

/// Of one flow: its judge, and from how far came what that took for answers.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    judge: Judge,
    ttls: Ttls,
}

impl Judges {
    /// Gives a flow that begins a judge that knows nothing.
    pub(crate) fn begin(&mut self, id: FlowId) {
        let at = id.index();
        if at >= self.0.len() {
            self.0.resize(at + 1, Side::default());
        }
        self.0[at] = Side::default();
    }

    /// The judge of a flow that has begun.
    pub(crate) fn of(&self, id: FlowId) -> &Judge {
        &self.0[id.index()].judge
    }

    /// Takes a packet of a flow that has begun, and judges it where it came.
    ///
    /// # Errors
    ///
    /// It is no part of the connection.
    #[inline]
    pub(crate) fn judge(&mut self, id: FlowId, packet: &Dissected<'_>, left: bool) -> Judged {
        let Side { judge, ttls } = &mut self.0[id.index()];
        if left {
            return judge.sent(packet);
        }
        judge.came(packet)?;
        if let Some(ttl) = packet.ttl() {
            ttls.add(ttl);
        }
        Ok(())
    }

    /// From how far a flow's answers came.
    pub(crate) fn ttls(&self, id: FlowId) -> Ttls {
        self.0[id.index()].ttls
    }
}

#[cfg(test)]
mod tests;
