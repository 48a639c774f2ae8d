//! First answers: whoever sent packets without a socket is told at once what came back.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use pathspider_plugin_api::packet::{Direction, Packet, TcpFlags};

use super::super::key::{Key, Tuple};
use super::super::notice::{Answer, Await};
use super::super::place::FlowId;
use super::Measuring;

/// Flows whose first answer somebody waits for.
pub(super) struct Awaiting {
    /// Whether anybody will ever ask. Where nobody does, packets cost nothing here.
    pub(super) asked: bool,
    flows: HashMap<Key, Await, RandomState>,
}

impl Awaiting {
    pub(super) fn new(asked: bool) -> Awaiting {
        Awaiting { asked, flows: HashMap::default() }
    }

    /// Takes a request, which came before the flow's first packet was sent.
    pub(super) fn ask(&mut self, request: Await) {
        let tuple = Tuple::between(request.protocol, request.local, request.remote);
        if let Some(tuple) = tuple {
            self.flows.insert(tuple.key().0, request);
        }
    }

    /// Some connection did not begin: nobody waits for its answer.
    pub(super) fn prune(&mut self) {
        if self.asked {
            self.flows.retain(|_, request| !request.answer.is_closed());
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
    /// Tells whoever waits what a packet of this flow means to them.
    #[cold]
    pub(super) fn answered(&mut self, id: FlowId, packet: &Packet<'_>) {
        if packet.direction() != Direction::Reverse {
            return;
        }
        let key = self.tracker.table.get(id).key;
        if !self.awaiting.flows.contains_key(&key) {
            // The request may wait among the notices: it came before the packet that is answered.
            self.drain();
        }
        if let Some(answer) = meaning(packet)
            && let Some(request) = self.awaiting.flows.remove(&key)
        {
            // Whoever gave up has claimed the flow, or will.
            let _ = request.answer.send(answer);
        }
    }
}

/// What a packet that came back means; `None` for what a socket would go on waiting after.
fn meaning(packet: &Packet<'_>) -> Option<Answer> {
    if let Some(icmp) = packet.icmp() {
        let is_v6 = packet.ip().is_v6();
        let (kind, code) = (icmp.kind(), icmp.code());
        return match (is_v6, kind, code) {
            // Source quench (RFC 6633), redirects, a fragment that its receiver still missed, and
            // codes that nobody has defined: Linux tells no socket of them.
            (false, 4 | 5, _) | (false, 11, 1) | (false, 3, 16..) => None,
            (false, 3 | 11 | 12, _) | (true, 1..128, _) => Some(Answer::Icmp { is_v6, kind, code }),
            _ => Some(Answer::Packet),
        };
    }
    let reset = packet.tcp().is_some_and(|tcp| tcp.has(TcpFlags::RST));
    Some(if reset { Answer::Reset } else { Answer::Packet })
}
