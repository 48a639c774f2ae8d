//! Remembers the ports of fragmented packets, so that later fragments find their flow.
//!
//! This is for fragments that are packets of their own: those that leave us, and all where flows are
//! merely observed. What comes in a measurement is put together (see `parts`).

use std::collections::VecDeque;

use hashbrown::hash_map::Entry;

use pathspider_plugin_api::packet::protocol;

use super::dissect::{Dissected, Fragment, FragmentId, has_ports};
use super::key::Tuple;

/// How many fragmented packets are remembered at once. Beyond it the oldest is forgotten, and its
/// later fragments count as orphaned.
const LIMIT: usize = 4096;

/// How long fragments may follow the first: the time that a host waits to reassemble a packet
/// (RFC 8200, section 4.5, 60 s; RFC 1122, section 3.3.2, 60 to 120 s).
const LIFETIME_NS: i64 = 60_000_000_000;

/// What later fragments do not say of their packet.
#[derive(Clone, Copy)]
struct Head {
    ports: (u16, u16),
    protocol: u8,
}

/// The heads of the packets whose first fragment was seen.
#[derive(Default)]
pub(crate) struct Fragments {
    heads: hashbrown::HashMap<FragmentId, Head, foldhash::fast::RandomState>,
    order: VecDeque<(i64, FragmentId)>,
}

impl Fragments {
    /// Gives a later fragment its ports, and notes those of a first one. `false` when a later
    /// fragment has ports and its first was not seen.
    #[cold]
    pub(crate) fn resolve(&mut self, packet: &mut Dissected<'_>, time_ns: i64) -> bool {
        match packet.fragment {
            Fragment::First(identification) => {
                let id = FragmentId::new(&packet.tuple, identification);
                self.note(id, &packet.tuple, time_ns);
                true
            }
            Fragment::Later(identification) => {
                let id = FragmentId::new(&packet.tuple, identification);
                self.complete(id, &mut packet.tuple) || is_without_ports(&packet.tuple)
            }
            Fragment::None => true,
        }
    }

    /// Gives the tuple of a later fragment its ports.
    pub(crate) fn complete(&self, id: FragmentId, tuple: &mut Tuple) -> bool {
        match self.heads.get(&id) {
            Some(&Head { ports: (source, destination), protocol }) => {
                (tuple.source_port, tuple.destination_port) = (source, destination);
                tuple.protocol = protocol;
                true
            }
            None => false,
        }
    }

    fn note(&mut self, id: FragmentId, tuple: &Tuple, time_ns: i64) {
        let ports = (tuple.source_port, tuple.destination_port);
        let head = Head { ports, protocol: tuple.protocol };
        match self.heads.entry(id) {
            Entry::Occupied(mut entry) => *entry.get_mut() = head,
            Entry::Vacant(entry) => {
                entry.insert(head);
                self.order.push_back((time_ns, id));
            }
        }
        while let Some(&(noted, oldest)) = self.order.front() {
            let expired = time_ns.saturating_sub(noted) > LIFETIME_NS;
            if !expired && self.order.len() <= LIMIT {
                break;
            }
            self.order.pop_front();
            self.heads.remove(&oldest);
        }
    }
}

/// Whether a later fragment says of itself whose it is. In version 6 the protocol that it names may be an
/// extension header's.
fn is_without_ports(tuple: &Tuple) -> bool {
    if tuple.is_v6 { tuple.protocol == protocol::ICMPV6 } else { !has_ports(tuple.protocol) }
}
