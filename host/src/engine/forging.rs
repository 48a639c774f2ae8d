//! Connections of forged packets that wait for an answer: what is due when. There is no task for each.
//!
//! It has no clock, no socket and no channel. Time and answers are arguments, and what is to be done is the
//! result.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use pathspider_observer::ConnectionId;

/// How long a connection waits, and what happens until then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// For how long, as a whole.
    pub(super) whole: Duration,
    /// After how long its packets are sent again each time, and how often.
    pub(super) repeats: (Duration, u64),
    /// After how long it counts as silent, where somebody wants to know.
    pub(super) silence: Option<Duration>,
}

/// What a connection's time has come for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due<P> {
    /// It is silent.
    Silent(ConnectionId),
    /// Its packets are to be sent again.
    Again(ConnectionId),
    /// It has waited for long enough.
    Over(ConnectionId, P),
}

/// A connection that waits.
struct Waiting<P> {
    what: P,
    /// Tells it from others that had its name.
    serial: u64,
    silent: Option<Instant>,
    again: Option<Instant>,
    after: Duration,
    left: u64,
    over: Instant,
}

impl<P> Waiting<P> {
    /// When something of it is due.
    fn next(&self) -> Instant {
        [self.silent, self.again].into_iter().flatten().fold(self.over, Instant::min)
    }
}

/// All that wait.
pub(super) struct Forging<P> {
    waiting: HashMap<ConnectionId, Waiting<P>, foldhash::fast::RandomState>,
    /// The next time of each. Those of connections that were answered are passed over.
    dues: BinaryHeap<Reverse<(Instant, u64, ConnectionId)>>,
    serial: u64,
}

impl<P> Default for Forging<P> {
    fn default() -> Forging<P> {
        Forging { waiting: HashMap::default(), dues: BinaryHeap::new(), serial: 0 }
    }
}

impl<P> Forging<P> {
    /// Its packets were sent.
    pub(super) fn begin(&mut self, id: ConnectionId, what: P, waits: Waits, now: Instant) {
        let Waits { whole, repeats: (after, left), silence } = waits;
        self.serial += 1;
        let waiting = Waiting {
            what,
            serial: self.serial,
            silent: silence.map(|silence| now + silence),
            again: (left > 0).then(|| now + after),
            after,
            left,
            over: now + whole,
        };
        self.dues.push(Reverse((waiting.next(), self.serial, id)));
        self.waiting.insert(id, waiting);
    }

    /// Whether anybody waits.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// It was answered: it waits no more. `None` where it did not wait any more.
    pub(super) fn answered(&mut self, id: ConnectionId) -> Option<P> {
        self.waiting.remove(&id).map(|waiting| waiting.what)
    }

    /// What a connection is that waits.
    pub(super) fn get(&self, id: ConnectionId) -> Option<&P> {
        self.waiting.get(&id).map(|waiting| &waiting.what)
    }

    /// Nobody will be answered any more: all that waited.
    pub(super) fn give_up(&mut self) -> Vec<(ConnectionId, P)> {
        self.dues.clear();
        self.waiting.drain().map(|(id, waiting)| (id, waiting.what)).collect()
    }

    /// When something is due.
    pub(super) fn next(&mut self) -> Option<Instant> {
        while let Some(&Reverse((due, serial, id))) = self.dues.peek() {
            if self.stands(id, serial) {
                return Some(due);
            }
            self.dues.pop();
        }
        None
    }

    fn stands(&self, id: ConnectionId, serial: u64) -> bool {
        self.waiting.get(&id).is_some_and(|waiting| waiting.serial == serial)
    }

    /// What is due now, one after the other.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due<P>> {
        let due = self.next().filter(|due| *due <= now)?;
        let Reverse((_, serial, id)) = self.dues.pop()?;
        let waiting = self.waiting.get_mut(&id)?;
        if waiting.over <= due {
            return self.waiting.remove(&id).map(|waiting| Due::Over(id, waiting.what));
        }
        let is_silent = waiting.silent.is_some_and(|at| at <= due);
        if is_silent {
            waiting.silent = None;
        } else {
            // The time runs from when they are sent again.
            waiting.left = waiting.left.saturating_sub(1);
            waiting.again = (waiting.left > 0).then(|| now + waiting.after);
        }
        self.dues.push(Reverse((waiting.next(), serial, id)));
        Some(if is_silent { Due::Silent(id) } else { Due::Again(id) })
    }
}

#[cfg(test)]
mod tests {
    use pathspider_observer::{JobNumber, Round, Visit};
    use pathspider_plugin_api::ConfigId;

    use super::*;

    fn id(job: u64) -> ConnectionId {
        Visit::new(JobNumber::new(job), Round::FIRST).connection(ConfigId::BASELINE)
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// What is due until a time, at the times at which it is.
    fn until(forging: &mut Forging<u8>, start: Instant, end: Duration) -> Vec<(u128, Due<u8>)> {
        let mut found = Vec::new();
        while let Some(next) = forging.next().filter(|next| *next <= start + end) {
            found.extend(forging.due(next).map(|due| ((next - start).as_millis(), due)));
        }
        found
    }

    #[test]
    fn a_connection_that_nobody_answers_is_silent_repeats_and_ends() {
        let (mut forging, start) = (Forging::default(), Instant::now());
        let silence = Some(SECOND / 4);
        let waits = Waits { whole: SECOND * 4, repeats: (SECOND, 2), silence };
        forging.begin(id(1), 7, waits, start);
        let found = until(&mut forging, start, SECOND * 9);
        let expected = [
            (250, Due::Silent(id(1))),
            (1000, Due::Again(id(1))),
            (2000, Due::Again(id(1))),
            (4000, Due::Over(id(1), 7)),
        ];
        assert_eq!(found, expected);
        assert_eq!((forging.next(), forging.answered(id(1))), (None, None));
    }

    #[test]
    fn what_was_answered_is_not_due_and_its_name_may_come_again() {
        let (mut forging, start) = (Forging::default(), Instant::now());
        let waits = Waits { whole: SECOND, repeats: (SECOND, 0), silence: None };
        forging.begin(id(1), 1, waits, start);
        forging.begin(id(2), 2, waits, start);
        assert_eq!(forging.get(id(1)), Some(&1));
        assert_eq!(forging.answered(id(1)), Some(1));
        forging.begin(id(1), 3, waits, start + SECOND / 2);
        let found = until(&mut forging, start, SECOND * 2);
        assert_eq!(found, [(1000, Due::Over(id(2), 2)), (1500, Due::Over(id(1), 3))]);
    }

    #[test]
    fn the_end_comes_before_a_repeat_at_the_same_time() {
        let (mut forging, start) = (Forging::default(), Instant::now());
        let waits = Waits { whole: SECOND, repeats: (SECOND, 5), silence: Some(SECOND) };
        forging.begin(id(1), 1, waits, start);
        assert_eq!(until(&mut forging, start, SECOND * 2), [(1000, Due::Over(id(1), 1))]);
        forging.begin(id(2), 2, waits, start);
        assert_eq!(forging.give_up(), [(id(2), 2)]);
        assert_eq!(forging.next(), None);
    }
}
