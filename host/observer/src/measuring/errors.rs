//! ICMP errors: about packets of ours, or about one that was never captured itself.

use pathspider_plugin_api::packet::Direction;

use super::super::dissect::{Dissected, Quote};
use super::super::place::FlowId;
use super::super::source::Frame;
use super::super::tracker::{packet, quoted_packet};
use super::Measuring;

impl Measuring {
    /// An ICMP error. `false` when it is about nothing of ours.
    #[cold]
    pub(super) fn error(
        &mut self,
        frame: &Frame<'_>,
        dissected: &Dissected<'_>,
        mut quote: Quote<'_>,
    ) -> bool {
        let found = match self.tracker.quoted(&mut quote) {
            Some(found) => Some(found),
            None => {
                self.drain();
                self.lone_error(&quote, frame.time_ns)
            }
        };
        let Some((id, direction)) = found else {
            return false;
        };
        if self.tracker.table.get(id).state.is_none() {
            self.tracker.counters.late += 1;
        } else {
            let packet = packet(dissected, frame.time_ns, direction);
            self.show(frame, id, &packet);
        }
        true
    }

    /// The flow of an error about a packet to an expected endpoint that was not captured itself:
    /// it begins with the packet as quoted.
    fn lone_error(&mut self, quote: &Quote<'_>, time_ns: i64) -> Option<(FlowId, Direction)> {
        if quote.fragment.is_some() || !self.expected.contains_key(&quote.tuple.to()) {
            return None;
        }
        let (key, is_first) = quote.tuple.key();
        let hash = self.tracker.table.hash(&key);
        let id = self.add((hash, key), is_first, &quoted_packet(quote, time_ns));
        Some((id, Direction::Reverse))
    }
}
