//! Answers that a file has before what they answer: SYN/ACKs with which flows begin. A card with several
//! queues, and a file made of several, may have them so. Where the SYN comes next, its sender is the
//! originator.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use pathspider_plugin_api::packet::place::tcp;
use pathspider_plugin_api::packet::{Layers, TcpFlags};

use super::dissect::{Dissected, be32, dissect};
use super::place::FlowId;

/// Flows that begin like this and have no second packet yet, at the most. Of more than that, the SYN
/// turns none.
const MOST: usize = 4096;

/// The first packets of flows that begin with a SYN/ACK.
#[derive(Default)]
pub(crate) struct Early {
    answers: HashMap<FlowId, Answer, RandomState>,
}

/// A SYN/ACK with which a flow began.
pub(crate) struct Answer {
    packet: Vec<u8>,
    wire: u32,
    time_ns: i64,
    acknowledgment: u32,
}

impl Early {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Notes the first packet of a flow, where it is a SYN/ACK.
    pub(crate) fn note(&mut self, id: FlowId, first: &Dissected<'_>, time_ns: i64) {
        const SYN_ACK: u8 = TcpFlags::SYN.and(TcpFlags::ACK).byte();
        const OF_HANDSHAKE: u8 = SYN_ACK | TcpFlags::FIN.and(TcpFlags::RST).byte();
        let is_answer = first.layers.intersects(Layers::TCP)
            && first.transport[tcp::OFFSET + 1] & OF_HANDSHAKE == SYN_ACK
            && self.answers.len() < MOST;
        if is_answer {
            let packet = [first.ip, first.transport, first.payload].concat();
            let acknowledgment = be32(first.transport, tcp::ACKNOWLEDGMENT);
            self.answers.insert(id, Answer { packet, wire: first.wire, time_ns, acknowledgment });
        }
    }

    /// Takes the first packet of a flow that has another one, or has ended.
    #[inline]
    pub(crate) fn take(&mut self, id: FlowId) -> Option<Answer> {
        if self.answers.is_empty() { None } else { self.answers.remove(&id) }
    }
}

impl Answer {
    /// Whether this is the SYN that it answers.
    pub(crate) fn answers(&self, packet: &Dissected<'_>) -> bool {
        packet.opening.map(|number| number.wrapping_add(1)) == Some(self.acknowledgment)
    }

    /// Gives it once more, and its time.
    pub(crate) fn show(&self, show: impl FnOnce(&Dissected<'_>, i64)) {
        let mut dissected = Dissected::NONE;
        if dissect(&self.packet, self.wire, &mut dissected).is_ok() {
            show(&dissected, self.time_ns);
        }
    }
}
