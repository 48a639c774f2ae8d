//! Senders without a socket get a notice at once of what comes back: of a flow's first answer, of its
//! completion, or of every packet. Nothing here waits for the receivers of notices.

use std::net::SocketAddr;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use pathspider_plugin_api::packet::{Direction, Packet, TcpFlags};
use tokio::sync::mpsc::UnboundedSender;

use super::super::key::{Key, Tuple};
use super::super::notice::{Answer, Await, Heard, Told, Wanted};
use super::super::place::FlowId;
use super::Measuring;

/// Flows whose packets somebody waits for.
pub(super) struct Awaiting {
    /// Whether anybody will ever ask. Where nobody does, a packet costs one branch here.
    pub(super) asked: bool,
    /// Where answers are reported.
    tell: Option<UnboundedSender<Told>>,
    flows: HashMap<Key, Wanted, RandomState>,
}

impl Awaiting {
    pub(super) fn new(tell: Option<UnboundedSender<Told>>) -> Awaiting {
        Awaiting { asked: tell.is_some(), tell, flows: HashMap::default() }
    }

    /// Takes a request, which came before the flow's first packet was sent.
    pub(super) fn ask(&mut self, request: Await) {
        let tuple = Tuple::between(request.protocol, request.local, request.remote);
        if let Some(tuple) = tuple {
            self.flows.insert(tuple.key().0, request.wanted);
        }
    }

    /// Some connection did not begin: nobody waits for its answer.
    pub(super) fn prune(&mut self) {
        if self.asked {
            self.flows.retain(|_, wanted| !wanted.is_over());
        }
    }

    /// The flow's first packet was not sent; nobody waits for what comes.
    pub(super) fn take_back(&mut self, protocol: u8, local: SocketAddr, remote: SocketAddr) {
        if let Some(tuple) = Tuple::between(protocol, local, remote) {
            self.forget(&tuple.key().0);
        }
    }

    /// The connection has ended; nobody waits any more.
    pub(super) fn forget(&mut self, key: &Key) {
        if self.asked {
            self.flows.remove(key);
        }
    }
}

impl Measuring {
    /// Tells whoever waits what a packet of this flow means to them. `is_done`: a chain calls the flow
    /// complete with it.
    #[cold]
    pub(super) fn answered(&mut self, id: FlowId, packet: &Packet<'_>, is_done: bool) {
        let came = packet.direction() == Direction::Reverse;
        if !came && !is_done {
            return;
        }
        let key = self.tracker.table.get(id).key;
        if !self.awaiting.flows.contains_key(&key) {
            // The request may wait among the notices: it came before the packet that is answered.
            self.drain();
        }
        let answer = meaning(packet);
        let is_answered = match (self.awaiting.flows.get(&key), answer) {
            (Some(Wanted::First(_)), Some(_)) => came,
            (Some(Wanted::Done(_)), Some(answer)) => is_done || answer != Answer::Packet,
            (Some(Wanted::All(follow)), _) => came && !follow.hand_over(|| heard(packet)),
            _ => false,
        };
        if is_answered
            && let Some(wanted) = self.awaiting.flows.remove(&key)
            && let (Wanted::First(id) | Wanted::Done(id), Some(answer)) = (wanted, answer)
            && let Some(tell) = &self.awaiting.tell
        {
            // The engine may have gone, on a second signal.
            let _ = tell.send(Told { id, answer });
        }
    }
}

/// A copy of a packet.
fn heard(packet: &Packet<'_>) -> Heard {
    Heard { time_ns: packet.time_ns(), octets: packet.octets(), length: packet.ip_length() }
}

/// What a packet that came back means; `None` for what a socket would go on waiting after.
fn meaning(packet: &Packet<'_>) -> Option<Answer> {
    if let Some(icmp) = packet.icmp() {
        return match (icmp.is_v6(), icmp.kind(), icmp.failure()) {
            (_, _, Some(word)) => Some(Answer::Icmp(word)),
            // Linux tells no socket of these, nor of codes that nobody has defined.
            (false, 3 | 4 | 5 | 11, None) => None,
            _ => Some(Answer::Packet),
        };
    }
    let reset = packet.tcp().is_some_and(|tcp| tcp.has(TcpFlags::RST));
    Some(if reset { Answer::Reset } else { Answer::Packet })
}
