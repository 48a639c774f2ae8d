//! Forged packets that were sent: how they are waited for, how often they are sent, and what comes of them.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use pathspider_observer::Answer;
use pathspider_plugin_api::carriage::{self, Proof};
use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::{ConnectKind, Outcome, State, Value, forge};
use pathspider_plugins::asked::Waiting;

use super::super::failure::Failure;
use super::super::{Attempt, Flow};
use super::{Forger, Pair, answer};
use crate::engine::forging::Waits;
use crate::route::Way;

/// Forged packets that were sent, and whose answer is waited for.
pub(in crate::engine) struct Forged {
    pub(super) kind: ConnectKind,
    pub(super) forger: Rc<Forger>,
    pub(super) flow: Flow,
    pub(super) pair: Option<Pair>,
    pub(super) wait: Duration,
    /// What is sent again while there is no answer.
    pub(super) packets: Vec<Vec<u8>>,
    pub(super) waiting: Waiting,
    /// The sequence number of the RST that frees the target.
    pub(super) next: Option<u32>,
    pub(super) way: Way,
}

impl Forged {
    /// The target's end.
    pub(in crate::engine) fn remote(&self) -> SocketAddr {
        self.flow.remote
    }

    /// How it is waited for; `silence` is after how long somebody wants to know that nothing came.
    pub(in crate::engine) fn waits(&self, silence: Option<Duration>) -> Waits {
        let Waiting { after, times, .. } = self.waiting;
        Waits { whole: self.wait, repeats: (after, times), silence }
    }

    /// Sends the packets again.
    pub(in crate::engine) fn send_again(&self) {
        for packet in &self.packets {
            // Where one cannot be sent again, those before may still be answered.
            let _ = self.forger.send(packet, self.flow.remote.ip(), self.way);
        }
    }

    /// The end of the connection: with this answer, or without one.
    pub(in crate::engine) fn end(self, came: Came) -> Attempt {
        let Forged { kind, forger, flow, pair, next, way, .. } = self;
        if came == Came::Answer(Answer::Packet)
            && let Some(reset) = next.and_then(|next| reset_at(&flow, next))
        {
            // Where it cannot be sent, the target gives up by itself.
            let _ = forger.send(&reset, flow.remote.ip(), way);
        }
        forger.release(pair);
        let outcome = match came {
            Came::Answer(answer) => answer::outcome(answer, flow.protocol),
            Came::Nothing => Failure::Timeout.outcome(),
            Came::NoWord => Failure::Other.outcome(),
        };
        flow.end(of_kind(outcome, kind))
    }
}

/// What came of forged packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Came {
    /// This answer.
    Answer(Answer),
    /// Nothing, for as long as the plugin asked to wait.
    Nothing,
    /// The observer tells nobody any more: the capture has failed, or the run is over.
    NoWord,
}

/// An outcome with its kind, where more than its state says whether the path carried the connection.
pub(super) fn of_kind(outcome: Outcome, kind: ConnectKind) -> Outcome {
    match kind.proof() {
        Proof::State => outcome,
        _ => {
            let is_answered = outcome.state() == State::Ok;
            let outcome = outcome.with(carriage::KIND, Value::text(kind.name()));
            outcome.with(carriage::CARRIED, is_answered)
        }
    }
}

/// A RST on a flow with this sequence number.
pub(in crate::engine::connect) fn reset_at(flow: &Flow, sequence: u32) -> Option<Vec<u8>> {
    let (local, remote) = (flow.local?, flow.remote);
    let packet = forge::Packet::to(remote.ip()).source(local.ip());
    let segment = packet.tcp(remote.port()).source_port(local.port());
    segment.flags(TcpFlags::RST).sequence(sequence).window(0).bytes().ok()
}
