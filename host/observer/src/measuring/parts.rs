//! Fragments. What leaves us in fragments is shown as it leaves; what comes is shown when all of it is
//! there, as one packet, which is what sockets get.

use super::super::dissect::{Dissected, dissect};
use super::super::parts::{Added, Whole};
use super::super::source::Frame;
use super::super::tracker::Sliced;
use super::Measuring;

impl Measuring {
    /// Takes a fragment.
    #[cold]
    pub(super) fn fragment(
        &mut self,
        frame: &Frame<'_>,
        dissected: &mut Dissected<'_>,
        how: Sliced,
    ) {
        let source = dissected.tuple.source;
        if !self.expected.has_address(source) {
            self.drain();
        }
        if self.expected.has_address(source) {
            let (added, given_up) = self.parts.add(dissected, frame.time_ns);
            self.tracker.counters.orphaned += given_up;
            match added {
                Added::Whole(whole) => self.whole(frame, &whole),
                Added::Waits => self.save(|save| save.write(frame)),
            }
        } else if self.tracker.resolve(how, dissected, frame.time_ns) {
            self.packet(frame, dissected);
        }
    }

    /// Takes a packet that was put together, with its last fragment.
    fn whole(&mut self, frame: &Frame<'_>, whole: &Whole) {
        let mut dissected = Dissected::NONE;
        match dissect(&whole.octets, whole.length, &mut dissected) {
            Ok(()) => {
                dissected.wire = whole.wire;
                self.packet(frame, &dissected);
            }
            Err(kind) => self.tracker.counters.count_malformed(kind),
        }
    }
}
