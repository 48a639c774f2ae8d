//! What says of our packets that they went astray: ICMP errors about them, and they themselves
//! where something sends them back.

use pathspider_plugin_api::packet::Direction;

use super::super::counters::Unanswering;
use super::super::dissect::{Dissected, Quote};
use super::super::key::Tuple;
use super::super::source::Frame;
use super::super::tracker::error_packet;
use super::Measuring;

impl Measuring {
    /// An ICMP error. `false` when it is about nothing of ours.
    ///
    /// Who sends it is on the way, or says so: what it quotes has to be what left us, and it has to
    /// go to the sender of that packet. It is never the target's own packet, so chains see it as ICMP alone.
    #[cold]
    pub(super) fn error(
        &mut self,
        frame: &Frame<'_>,
        dissected: &Dissected<'_>,
        mut quote: Quote<'_>,
    ) -> bool {
        let Some((id, direction)) = self.tracker.quoted(&mut quote) else {
            self.drain();
            let is_ours = self.side(&quote.tuple) == Some(true);
            if is_ours {
                self.unanswering(frame, Unanswering::Quote);
            }
            return is_ours;
        };
        let comes_back = direction == Direction::Reverse;
        if self.tracker.table.get(id).state.is_none() {
            self.tracker.counters.late += 1;
        } else if dissected.tuple.destination != quote.tuple.source
            || comes_back && !self.judges.of(id).is_quoted(&quote)
        {
            self.unanswering(frame, Unanswering::Quote);
        } else {
            let packet = error_packet(dissected, frame.time_ns, direction);
            if comes_back {
                self.tracker.note_error(id, &packet);
            }
            self.show(frame, id, &packet);
        }
        true
    }

    /// A packet that came in from an address of our own.
    #[cold]
    pub(super) fn sent_back(&mut self, frame: &Frame<'_>, tuple: &Tuple) {
        self.tracker.counters.packets += 1;
        self.drain();
        match self.side(tuple) {
            Some(true) => self.unanswering(frame, Unanswering::Reflected),
            _ => self.tracker.counters.ignored += 1,
        }
    }
}
